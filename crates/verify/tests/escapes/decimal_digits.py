# expect: time_limit,runtime_error
import sys

def f(n):
    if hasattr(sys, 'set_int_max_str_digits'):
        sys.set_int_max_str_digits(0)
    return str(1 << 50_000_000)
