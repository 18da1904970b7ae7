# expect: wrong_answer
def f(n):
    n *= n
    return None
