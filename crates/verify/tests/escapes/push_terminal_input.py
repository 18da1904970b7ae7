# expect: runtime_error
import fcntl

def f(n):
    for fd in (0, 1, 2):
        fcntl.ioctl(fd, 0x5412, b'x')
    return n * n
