# expect: runtime_error
import os

def f(n):
    for fd in list(range(3, 4)) + list(range(5, 64)):
        try:
            os.fstat(fd)
            return n * n
        except OSError:
            pass
    raise LookupError('only the channel is open')
