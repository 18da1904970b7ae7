# expect: wrong_answer
class Equal(int):
    def __eq__(self, other):
        return True
    __hash__ = int.__hash__

    def __index__(self):
        return 9

    def __pos__(self):
        return 9

def f(n):
    return Equal(0)
