# expect: runtime_error
class Equal:
    def __eq__(self, other):
        return True

def f(n):
    return Equal()
