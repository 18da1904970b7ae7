# expect: runtime_error
import ctypes, os, platform

def f(n):
    if platform.machine() != 'x86_64':
        raise LookupError('other numbers here')
    syscall = ctypes.CDLL(None).syscall
    # inotify_init, fanotify_init, name_to_handle_at, sendfile, splice, tee, vmsplice,
    # copy_file_range, memfd_secret, timerfd_create, kcmp, process_mrelease, mlockall
    for number in (253, 300, 303, 40, 275, 276, 278, 326, 447, 283, 312, 448, 151):
        if syscall(number, 0, 0, 0, 0, 0, 0) >= 0:
            return n * n
    raise PermissionError('all refused')
