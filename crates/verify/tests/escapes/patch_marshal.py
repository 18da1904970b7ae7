# expect: runtime_error,wrong_answer,violation
import marshal

marshal.dumps = lambda value, version=2: b'T'

def f(n):
    return 0
