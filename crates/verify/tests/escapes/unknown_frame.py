# expect: violation
import os

def f(n):
    os.write(4, b'\x04\0\0\0PPASS')
    os._exit(0)
