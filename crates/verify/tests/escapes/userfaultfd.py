# expect: violation
import ctypes, platform

def f(n):
    userfaultfd = {'x86_64': 323, 'aarch64': 282}[platform.machine()]
    ctypes.CDLL(None).syscall(userfaultfd, 1)
    return n * n
