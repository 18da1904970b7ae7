# expect: memory_limit,runtime_error,time_limit
import fcntl, os

def f(n):
    ends = []
    while True:
        read, write = os.pipe()
        fcntl.fcntl(write, 1031, 1 << 20)
        ends.append((read, write))
        os.write(write, bytes(1 << 20))
