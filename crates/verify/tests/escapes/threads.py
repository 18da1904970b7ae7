# expect: runtime_error
import threading, time

def f(n):
    for _ in range(100):
        threading.Thread(target=time.sleep, args=(60,)).start()
    return n * n
