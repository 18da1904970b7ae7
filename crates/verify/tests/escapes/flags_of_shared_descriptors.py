# expect: runtime_error
# Standard input is one open file for all programs: its flags would carry a message.
import fcntl, os

def f(n):
    for fd in (0, 1, 2):
        fcntl.fcntl(fd, fcntl.F_SETFL, fcntl.fcntl(fd, fcntl.F_GETFL) | os.O_NONBLOCK)
    return n * n
