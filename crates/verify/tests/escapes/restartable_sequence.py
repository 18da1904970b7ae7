# expect: runtime_error,wrong_answer
# A critical section whose abort handler lies anywhere.
import ctypes, os, platform

def f(n):
    rseq = {'x86_64': 334, 'aarch64': 293}[platform.machine()]
    area = ctypes.create_string_buffer(b'\xff' * 64, 96)
    ctypes.CDLL(None).syscall(rseq, (ctypes.addressof(area) + 31) & ~31, 32, 0, 0x53053053)
    return -n
