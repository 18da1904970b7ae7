# expect: violation
import _socket

def f(n):
    _socket.socket(1, 1).connect('/run/x')
    return n * n
