# expect: runtime_error
import os

def f(n):
    for attempt in (
        lambda: os.nice(-5),
        lambda: os.nice(1),
        lambda: os.setpriority(os.PRIO_USER, 0, 19),
        lambda: os.sched_setaffinity(0, {0}),
        lambda: os.sched_setaffinity(os.getppid(), {0}),
        lambda: os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0)),
        lambda: os.sched_setscheduler(os.getppid(), os.SCHED_IDLE, os.sched_param(0)),
    ):
        try:
            attempt()
            return n * n
        except OSError:
            pass
    raise PermissionError('all refused')
