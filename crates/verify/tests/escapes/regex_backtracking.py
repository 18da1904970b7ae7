# expect: time_limit
import re

def f(n):
    return re.match('(a|aa)+$', 'a' * 60 + 'b')
