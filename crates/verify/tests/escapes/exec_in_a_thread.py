# expect: runtime_error
import os, threading

def f(n):
    threading.Thread(target=os.execv, args=('/bin/true', ['true'])).start()
    return n * n
