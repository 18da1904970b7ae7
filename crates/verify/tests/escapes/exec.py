# expect: violation
import os

def f(n):
    os.execv('/bin/true', ['true'])
