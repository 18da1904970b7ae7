# expect: wrong_answer
# Shown in the detail, this must not take the judge quadratic time.
def f(n):
    return 1 << 12_000_000
