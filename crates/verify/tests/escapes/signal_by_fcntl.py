# expect: runtime_error
import fcntl, os

def f(n):
    fcntl.fcntl(4, fcntl.F_SETOWN, os.getppid())
    return n * n
