# expect: runtime_error
import ctypes, platform

def f(n):
    syscall = ctypes.CDLL(None).syscall
    area = ctypes.create_string_buffer(64)
    # setpriority, sched_setparam, sched_setscheduler, sched_setaffinity, ioprio_set, mbind,
    # set_mempolicy, migrate_pages, move_pages, sched_setattr
    numbers = {
        'x86_64': (141, 142, 144, 203, 251, 237, 238, 256, 279, 314),
        'aarch64': (140, 118, 119, 122, 30, 235, 237, 238, 239, 274),
    }
    for number in numbers[platform.machine()]:
        if syscall(number, 0, area, area, area, 0, 0) >= 0:
            return n * n
    raise PermissionError('all refused')
