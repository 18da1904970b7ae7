# expect: violation
import os

def f(n):
    os.kill(os.getppid(), 9)
    return n * n
