# expect: runtime_error
class R(Exception):
    def __str__(self):
        while True:
            pass
    __repr__ = __str__

def f(n):
    raise R(R())
