# expect: runtime_error
# No namespace covers locks and leases on a file that all programs read.
import fcntl, os

def f(n):
    shared = open(os.__file__)
    for attempt in (
        lambda: fcntl.flock(shared, fcntl.LOCK_SH),
        lambda: fcntl.lockf(shared, fcntl.LOCK_SH),
        lambda: fcntl.fcntl(shared, 1024, fcntl.F_RDLCK),
        lambda: fcntl.fcntl(shared, 1026, 1),
        lambda: fcntl.fcntl(shared, 1031, 1 << 20),
        lambda: fcntl.fcntl(shared, 1033, 1),
    ):
        try:
            attempt()
            return n * n
        except OSError:
            pass
    raise PermissionError('all refused')
