# expect: runtime_error,wrong_answer
import builtins

builtins.callable = lambda x: True
builtins.type = lambda x: int

def f(n):
    return 0
