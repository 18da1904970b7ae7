# expect: runtime_error
import os

def f(n):
    if os.environ:
        return n * n
    raise LookupError('the environment is empty')
