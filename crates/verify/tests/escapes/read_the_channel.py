# expect: time_limit
import os

def f(n):
    os.read(4, 1)
    return n * n
