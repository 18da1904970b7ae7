# expect: output_limit
import os

def f(n):
    os.write(4, b'\xff\xff\xff\xff\x01')
    return n * n
