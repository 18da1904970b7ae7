# expect: runtime_error
import ctypes, platform

def f(n):
    if platform.machine() != 'x86_64':
        raise LookupError('other numbers here')
    syscall = ctypes.CDLL(None).syscall
    # shmget, msgget, semget, mknod, swapon's neighbours aside: flock, inotify_init1,
    # mq_open, memfd_create, timer_create, eventfd2, signalfd4, personality, setuid, capset
    for number in (29, 68, 64, 133, 73, 294, 240, 319, 222, 290, 289, 135, 105, 126):
        if syscall(number, 0, 0, 0, 0) >= 0:
            return n * n
    raise PermissionError('all refused')
