# expect: runtime_error,violation
import ctypes, platform

def f(n):
    if platform.machine() != 'x86_64':
        raise LookupError('other numbers here')
    # sendto with MSG_OOB; the upper half of the flags is not for the kernel
    if ctypes.CDLL(None).syscall(44, 4, b'!', 1, ctypes.c_ulong(0xFFFFFFFF00000001), 0, 0) < 0:
        raise PermissionError('refused')
    while True:
        pass
