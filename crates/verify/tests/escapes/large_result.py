# expect: output_limit
def f(n):
    return 'x' * (64 << 20)
