# expect: runtime_error,wrong_answer,violation
import __main__

__main__.describe = lambda error: b'accepted'
__main__.encode = lambda value: b'T'
__main__.TEST_ERROR = 1

def f(n):
    raise ValueError
