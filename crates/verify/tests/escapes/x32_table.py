# expect: runtime_error
import ctypes, os

def f(n):
    if ctypes.CDLL(None).syscall(0x40000000 + 39) > 0:
        return n * n
    raise PermissionError('refused')
