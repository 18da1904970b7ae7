# expect: violation
import os

def f(n):
    os.kill(-1, 9)
    return n * n
