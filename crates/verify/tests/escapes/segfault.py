# expect: runtime_error
import ctypes

def f(n):
    return ctypes.string_at(8)
