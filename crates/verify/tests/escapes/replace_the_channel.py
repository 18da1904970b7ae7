# expect: runtime_error,time_limit
import os

def f(n):
    os.dup2(1, 4)
    return n * n
