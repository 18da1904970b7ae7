# expect: time_limit
class Trap:
    def __del__(self):
        while True:
            pass

def f(n):
    Trap()
    return n * n
