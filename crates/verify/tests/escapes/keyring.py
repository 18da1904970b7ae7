# expect: violation
import ctypes, platform

def f(n):
    if platform.machine() != 'x86_64':
        return ctypes.CDLL(None).ptrace(0, 0, 0, 0)
    ctypes.CDLL(None).syscall(248, b'user', b'axiom', b'message', 7, -4)
    return n * n
