# expect: time_limit,violation,runtime_error
# The fork would go on as a zygote if it could.
import os, sys

os._exit = lambda code: None
sys.exit = lambda *code: None

def f(n):
    frame = sys._getframe()
    while frame.f_back:
        frame = frame.f_back
    for name, value in list(frame.f_globals.items()):
        if callable(value):
            frame.f_globals[name] = lambda *args, **kwargs: None
    raise KeyboardInterrupt
