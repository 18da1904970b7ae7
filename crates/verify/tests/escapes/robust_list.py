# expect: runtime_error,wrong_answer
# The kernel walks this list when the process ends: here it has no end.
import ctypes, os, platform

def f(n):
    if platform.machine() != 'x86_64':
        raise LookupError('other numbers here')
    head = (ctypes.c_ulong * 3)()
    head[0] = ctypes.addressof(head)
    ctypes.CDLL(None).syscall(273, head, 24)
    os._exit(0)
