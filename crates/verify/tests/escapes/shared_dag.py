# expect: time_limit,memory_limit,output_limit
def f(n):
    value = []
    for _ in range(40):
        value = [value, value]
    return value
