# expect: runtime_error,time_limit
import signal

def f(n):
    signal.setitimer(signal.ITIMER_REAL, 0.001)
    while True:
        pass
