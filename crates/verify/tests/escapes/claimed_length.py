# expect: violation
import os

def f(n):
    os.write(4, b'\x05\0\0\0\x01[\xff\xff\xff\x7f')
    os._exit(0)
