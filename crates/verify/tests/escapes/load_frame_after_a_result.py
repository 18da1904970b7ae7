# expect: violation
import os

def f(n):
    if n == 4:
        os.write(4, b'\0\0\0\0\x02')
    return 0
