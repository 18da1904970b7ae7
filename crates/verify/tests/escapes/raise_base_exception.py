# expect: runtime_error
class Done(BaseException):
    pass

def f(n):
    raise Done('accepted')
