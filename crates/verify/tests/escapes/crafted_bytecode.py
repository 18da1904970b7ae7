# expect: runtime_error
def f(n):
    return n * n

f.__code__ = f.__code__.replace(co_code=bytes([100, 255] * 4), co_consts=())
