# expect: output_limit
def f(n):
    return 'x' * (8 << 20)
