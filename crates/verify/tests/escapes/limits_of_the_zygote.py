# expect: runtime_error
import os, resource

def f(n):
    resource.prlimit(os.getppid(), resource.RLIMIT_CPU, (1, 1))
    return n * n
