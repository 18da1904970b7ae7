# expect: runtime_error,violation
import signal, _thread

def f(n):
    signal.pthread_kill(_thread.get_ident(), signal.SIGSTOP)
    return n * n
