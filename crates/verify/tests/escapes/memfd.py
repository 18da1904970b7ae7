# expect: runtime_error
import os

def f(n):
    fd = os.memfd_create('hidden')
    os.write(fd, b'x' * 4096)
    return n * n
