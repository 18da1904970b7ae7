# expect: runtime_error,memory_limit
import mmap

def f(n):
    return len(mmap.mmap(-1, 1 << 33)) and n * n
