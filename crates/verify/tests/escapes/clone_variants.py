# expect: runtime_error
# Every way to a second process or thread that is not the C library's plain fork.
import ctypes, platform

def f(n):
    # exit_group, clone, and what makes processes besides: clone3, fork, vfork
    leave, clone, others = {
        'x86_64': (231, 56, (435, 57, 58)),
        'aarch64': (94, 220, (435,)),
    }[platform.machine()]
    syscall = ctypes.CDLL(None, use_errno=True).syscall
    thread = 0x100 | 0x200 | 0x400 | 0x800 | 0x10000
    parent, ptrace, newuser, vfork, untraced = 0x8000, 0x2000, 0x10000000, 0x4100, 0x800000
    for flags in (17, 0x01200011, 0x01200011 | parent, parent | 17, newuser | 17, vfork | 17, thread, untraced | 17, ptrace | 17):
        pid = syscall(clone, ctypes.c_ulong(flags), 0, 0, 0, 0)
        if pid == 0:
            syscall(leave, 0)
        if pid > 0:
            return n * n
    for number in others:
        pid = syscall(number, 0, 0)
        if pid == 0:
            syscall(leave, 0)
        if pid > 0:
            return n * n
    raise PermissionError('stays alone')
