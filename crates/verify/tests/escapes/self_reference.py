# expect: runtime_error
def f(n):
    value = []
    value.append(value)
    return value
