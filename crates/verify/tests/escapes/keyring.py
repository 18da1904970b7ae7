# expect: violation
import ctypes, platform

def f(n):
    add_key = {'x86_64': 248, 'aarch64': 217}[platform.machine()]
    ctypes.CDLL(None).syscall(add_key, b'user', b'axiom', b'message', 7, -4)
    return n * n
