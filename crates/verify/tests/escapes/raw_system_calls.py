# expect: runtime_error
import ctypes, platform

def f(n):
    syscall = ctypes.CDLL(None).syscall
    # shmget, msgget, semget, mknod (mknodat), flock, inotify_init1, mq_open, memfd_create,
    # timer_create, eventfd2, signalfd4, personality, setuid, capset
    numbers = {
        'x86_64': (29, 68, 64, 133, 73, 294, 240, 319, 222, 290, 289, 135, 105, 126),
        'aarch64': (194, 186, 190, 33, 32, 26, 180, 279, 107, 19, 74, 92, 146, 91),
    }
    for number in numbers[platform.machine()]:
        if syscall(number, 0, 0, 0, 0) >= 0:
            return n * n
    raise PermissionError('all refused')
