# expect: violation
import ctypes, os

def f(n):
    libc = ctypes.CDLL(None)
    pidfd = libc.syscall(434, os.getppid(), 0)
    libc.syscall(438, pidfd, 3, 0)
    return n * n
