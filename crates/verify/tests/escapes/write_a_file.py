# expect: runtime_error
def f(n):
    open('/tmp/axiom-escape', 'w').write('x')
    return n * n
