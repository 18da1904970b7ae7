# expect: runtime_error
def f(n):
    yield n * n
