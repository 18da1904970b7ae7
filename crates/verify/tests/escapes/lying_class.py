# expect: runtime_error
class Liar:
    __class__ = int

    def __pos__(self):
        return 9

def f(n):
    return Liar()
