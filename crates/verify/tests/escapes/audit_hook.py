# expect: wrong_answer,runtime_error
import sys

sys.addaudithook(lambda event, args: (_ for _ in ()).throw(ValueError(event)))

def f(n):
    return -n
