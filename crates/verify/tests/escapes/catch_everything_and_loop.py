# expect: time_limit
def f(n):
    while True:
        try:
            while True:
                pass
        except BaseException:
            pass
