# expect: time_limit
import time

def f(n):
    time.sleep(60)
    return n * n
