# expect: runtime_error
import ctypes, os, platform

def f(n):
    syscall = ctypes.CDLL(None).syscall
    # inotify_init (inotify_init1), fanotify_init, name_to_handle_at, sendfile, splice, tee,
    # vmsplice, copy_file_range, memfd_secret, timerfd_create, kcmp, process_mrelease, mlockall
    numbers = {
        'x86_64': (253, 300, 303, 40, 275, 276, 278, 326, 447, 283, 312, 448, 151),
        'aarch64': (26, 262, 264, 71, 76, 77, 75, 285, 447, 85, 272, 448, 230),
    }
    for number in numbers[platform.machine()]:
        if syscall(number, 0, 0, 0, 0, 0, 0) >= 0:
            return n * n
    raise PermissionError('all refused')
