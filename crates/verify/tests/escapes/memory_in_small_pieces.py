# expect: memory_limit,time_limit
kept = []

def f(n):
    while True:
        kept.append([0] * 100_000)
