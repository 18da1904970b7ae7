# expect: runtime_error,violation
def f(n):
    from multiprocessing import shared_memory
    shared_memory.SharedMemory('axiom-escape', create=True, size=4096)
    return n * n
