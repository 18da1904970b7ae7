# expect: wrong_answer
# Frames are only values: guessing is the same as returning the guess.
import os, marshal

def f(n):
    value = marshal.dumps(7, 2)
    os.write(4, (len(value).to_bytes(4, 'little') + b'\x01' + value) * 2)
    os._exit(0)
