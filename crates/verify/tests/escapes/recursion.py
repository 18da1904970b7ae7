# expect: runtime_error
def f(n):
    return f(n)
