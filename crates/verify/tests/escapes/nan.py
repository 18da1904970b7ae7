# expect: wrong_answer
def f(n):
    return float('nan')
