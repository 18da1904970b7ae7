# expect: time_limit
def f(n):
    while True:
        print('x' * 100_000)
