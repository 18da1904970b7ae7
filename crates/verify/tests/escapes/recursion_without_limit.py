# expect: runtime_error,memory_limit,time_limit
import sys
sys.setrecursionlimit(10 ** 9)

class A:
    def __eq__(self, other):
        return self == other

def f(n):
    return A() == A()
