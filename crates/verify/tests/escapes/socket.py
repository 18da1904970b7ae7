# expect: violation
import socket

def f(n):
    socket.create_connection(('127.0.0.1', 80))
    return n * n
