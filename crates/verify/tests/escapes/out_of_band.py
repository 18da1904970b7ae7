# expect: runtime_error,violation
# A byte out of band makes the channel look readable and gives a plain read nothing.
import _socket

def f(n):
    channel = _socket.socket(fileno=4)
    channel.send(b'!', _socket.MSG_OOB)
    while True:
        pass
