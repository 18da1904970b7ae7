# expect: time_limit
kept = []

def f(n):
    while True:
        try:
            while True:
                kept.append(bytearray(1 << 24))
        except MemoryError:
            pass
