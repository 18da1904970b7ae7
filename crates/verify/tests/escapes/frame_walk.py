# expect: runtime_error,wrong_answer
import sys

def f(n):
    frame = sys._getframe()
    while frame:
        for name in ('expected', 'outputs', 'answers'):
            if name in frame.f_locals:
                return frame.f_locals[name]
        frame = frame.f_back
    raise LookupError('no expected values here')
