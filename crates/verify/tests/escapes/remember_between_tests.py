# expect: wrong_answer
seen = []

def f(n):
    seen.append(9)
    return seen[0]
