# expect: time_limit
import os, time

def f(n):
    os.write(4, b'\x05\0\0\0\x01i')
    time.sleep(60)
