# expect: runtime_error
import gc

def f(n):
    for found in gc.get_objects():
        if type(found) is dict and 'expected' in found:
            return found['expected']
    raise LookupError('no expected values here')
