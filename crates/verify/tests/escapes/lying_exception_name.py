# expect: runtime_error
class Meta(type):
    @property
    def __name__(self):
        while True:
            pass

class E(Exception, metaclass=Meta):
    pass

def f(n):
    raise E('accepted')
