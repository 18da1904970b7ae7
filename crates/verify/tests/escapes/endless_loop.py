# expect: time_limit
def f(n):
    while True:
        pass
