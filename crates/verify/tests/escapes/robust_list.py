# expect: runtime_error,wrong_answer
# The kernel walks this list when the process ends: here it has no end.
import ctypes, os, platform

def f(n):
    set_robust_list = {'x86_64': 273, 'aarch64': 99}[platform.machine()]
    head = (ctypes.c_ulong * 3)()
    head[0] = ctypes.addressof(head)
    ctypes.CDLL(None).syscall(set_robust_list, head, 24)
    os._exit(0)
