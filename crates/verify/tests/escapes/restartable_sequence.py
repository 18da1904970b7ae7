# expect: runtime_error,wrong_answer
# A critical section whose abort handler lies anywhere.
import ctypes, os, platform

def f(n):
    if platform.machine() != 'x86_64':
        raise LookupError('other numbers here')
    area = ctypes.create_string_buffer(b'\xff' * 64, 96)
    ctypes.CDLL(None).syscall(334, (ctypes.addressof(area) + 31) & ~31, 32, 0, 0x53053053)
    return -n
