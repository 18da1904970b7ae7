# expect: output_limit
import os

def f(n):
    while True:
        os.write(4, b'\xff' * 65536)
