# expect: runtime_error,wrong_answer
# Whoever holds the control socket would receive the next program.
import _socket, os

def f(n):
    for fd in (3, 5, 6, 7, 8, 9, 30, 31):
        try:
            if _socket.socket(fileno=os.dup(fd)).recv(1):
                return n * n
        except OSError:
            pass
    raise LookupError('no control socket')
