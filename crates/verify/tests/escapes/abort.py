# expect: runtime_error
import os

def f(n):
    os.abort()
