# expect: runtime_error
import ctypes, platform

def f(n):
    if platform.machine() != 'x86_64':
        raise LookupError('other numbers here')
    syscall = ctypes.CDLL(None).syscall
    # sethostname, settimeofday, clock_settime, adjtimex, syslog, quotactl, acct, ioperm, iopl,
    # modify_ldt, setresuid, setgroups, capset, utimensat, setxattr, fallocate, mincore
    for number in (170, 164, 227, 159, 103, 179, 163, 173, 172, 154, 117, 116, 126, 280, 188, 285, 27):
        if syscall(number, 0, 0, 0, 0, 0, 0) >= 0:
            return n * n
    raise PermissionError('all refused')
