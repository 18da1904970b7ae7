# expect: wrong_answer
def f(n):
    return True
