# expect: violation
import ctypes

def f(n):
    ctypes.CDLL(None).ptrace(0, 0, 0, 0)
    return n * n
