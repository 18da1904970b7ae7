# expect: runtime_error,violation
import signal

def f(n):
    signal.raise_signal(signal.SIGSTOP)
    return n * n
