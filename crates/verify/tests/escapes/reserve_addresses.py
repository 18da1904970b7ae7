# expect: runtime_error,memory_limit
# Address space without memory counts as well.
import ctypes, mmap

def f(n):
    libc = ctypes.CDLL(None)
    libc.mmap.restype = ctypes.c_long
    noreserve = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | 0x4000
    if libc.mmap(0, ctypes.c_size_t(1 << 40), 0, noreserve, -1, ctypes.c_long(0)) == -1:
        raise MemoryError
    return n * n
