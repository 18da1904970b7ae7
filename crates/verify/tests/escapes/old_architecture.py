# expect: violation,runtime_error
# The 32-bit table has other numbers: 1 is exit there. Kills on the architecture check.
import ctypes, mmap, platform

def f(n):
    if platform.machine() != 'x86_64':
        raise LookupError('there is none here')
    code = bytes([0xb8, 20, 0, 0, 0, 0xcd, 0x80, 0xc3])
    page = mmap.mmap(-1, 4096, prot=7)
    page.write(code)
    address = ctypes.addressof(ctypes.c_char.from_buffer(page))
    ctypes.CFUNCTYPE(ctypes.c_int)(address)()
    return n * n
