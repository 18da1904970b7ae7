# expect: memory_limit,time_limit,runtime_error
kept = []

def f(n):
    while True:
        kept.append([0] * 100_000)
