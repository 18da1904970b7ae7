# expect: time_limit
def f(n):
    return sum(range(10 ** 12))
