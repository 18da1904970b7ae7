# expect: violation
import ctypes, platform

def f(n):
    if platform.machine() != 'x86_64':
        return ctypes.CDLL(None).ptrace(0, 0, 0, 0)
    ctypes.CDLL(None).syscall(323, 1)
    return n * n
