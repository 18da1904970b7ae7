# expect: runtime_error
import ctypes

def f(n):
    if ctypes.CDLL(None).prctl(1, 0, 0, 0, 0) == 0:
        return n * n
    raise PermissionError('refused')
