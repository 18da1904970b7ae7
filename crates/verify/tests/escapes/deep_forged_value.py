# expect: runtime_error
import os

def f(n):
    body = b'[\x01\0\0\0' * 100_000 + b'N'
    os.write(4, len(body).to_bytes(4, 'little') + b'\x01' + body)
    os._exit(0)
