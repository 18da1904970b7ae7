# expect: time_limit
import signal

def f(n):
    signal.pause()
