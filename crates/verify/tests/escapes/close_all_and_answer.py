# expect: runtime_error,wrong_answer
import os

def f(n):
    os.closerange(0, 4096)
    return n * n
