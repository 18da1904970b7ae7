# expect: runtime_error
# Files in memory are small and few, and count against no other limit.
import os

def f(n):
    for i in range(8):
        fd = os.memfd_create('hidden')
        for j in range(100):
            os.write(fd, b'x' * (1 << 20))
    return n * n
