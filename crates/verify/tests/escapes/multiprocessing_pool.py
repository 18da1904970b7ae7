# expect: runtime_error,violation
def f(n):
    from multiprocessing import Process
    worker = Process(target=print)
    worker.start()
    worker.join()
    return n * n
