# expect: wrong_answer,runtime_error
# Looks at every frame and argument that the harness handles while it answers.
import sys

seen = []

def look(frame, event, argument):
    seen.extend(value for value in frame.f_locals.values() if type(value) in (list, tuple))
    if frame.f_back:
        seen.extend(frame.f_back.f_locals.values())

def f(n):
    sys.setprofile(look)
    sys.settrace(look)
    for found in seen:
        if found in ([9, 16], (9, 16), n * n, [n * n], (n * n,)):
            return n * n
    return -n
