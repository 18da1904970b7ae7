# expect: runtime_error
import os

def f(n):
    open(os.path.join(os.path.dirname(os.__file__), 'axiom_escape.py'), 'w').write('x')
    return n * n
