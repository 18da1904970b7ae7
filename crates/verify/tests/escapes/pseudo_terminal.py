# expect: runtime_error,violation
import os

def f(n):
    os.openpty()
    return n * n
