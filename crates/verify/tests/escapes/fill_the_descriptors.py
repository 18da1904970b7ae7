# expect: runtime_error
import os

def f(n):
    while True:
        os.dup(0)
