# expect: runtime_error
import os

while True:
    os.fork()
