# expect: runtime_error
import os

def f(n):
    os.close(4)
    return n * n
