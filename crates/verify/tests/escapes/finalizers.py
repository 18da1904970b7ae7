# expect: runtime_error,wrong_answer
# What runs at the end of an interpreter never runs.
import atexit, weakref

class Last:
    pass

def answer():
    import os
    os.write(4, b'\x05\0\0\0\x01i\x09\0\0\0')

last = Last()
weakref.finalize(last, answer)
atexit.register(answer)

def f(n):
    raise SystemExit(0)
