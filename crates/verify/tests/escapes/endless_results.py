# expect: wrong_answer,violation
import os

while True:
    os.write(4, b'\x01\0\0\0\x01N')
