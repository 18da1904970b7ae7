# expect: runtime_error
def f(n):
    return open('/proc/self/environ').read()
