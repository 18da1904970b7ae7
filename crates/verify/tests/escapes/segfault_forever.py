# expect: time_limit
# The handler returns to the instruction that faulted.
import ctypes, signal

def f(n):
    signal.signal(signal.SIGSEGV, lambda *_: None)
    ctypes.string_at(0)
    return n * n
