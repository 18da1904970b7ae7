# expect: runtime_error
import ctypes, platform

def f(n):
    syscall = ctypes.CDLL(None).syscall
    # sethostname, settimeofday, clock_settime, adjtimex, syslog, quotactl, acct, setresuid,
    # setgroups, capset, utimensat, setxattr, fallocate, mincore; ioperm, iopl, modify_ldt
    numbers = {
        'x86_64': (170, 164, 227, 159, 103, 179, 163, 117, 116, 126, 280, 188, 285, 27, 173, 172, 154),
        'aarch64': (161, 170, 112, 171, 116, 60, 89, 147, 159, 91, 88, 5, 47, 232),
    }
    for number in numbers[platform.machine()]:
        if syscall(number, 0, 0, 0, 0, 0, 0) >= 0:
            return n * n
    raise PermissionError('all refused')
