# expect: runtime_error,violation
import ctypes, platform

def f(n):
    sendto = {'x86_64': 44, 'aarch64': 206}[platform.machine()]
    # sendto with MSG_OOB; the upper half of the flags is not for the kernel
    if ctypes.CDLL(None).syscall(sendto, 4, b'!', 1, ctypes.c_ulong(0xFFFFFFFF00000001), 0, 0) < 0:
        raise PermissionError('refused')
    while True:
        pass
