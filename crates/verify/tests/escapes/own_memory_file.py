# expect: runtime_error
import os

def f(n):
    for path in ('/proc/self/mem', '/proc/self/oom_score_adj', '/proc/self/clear_refs',
                 '/proc/thread-self/comm', '/proc/self/fd/4', '/dev/fd/4', '/proc/self/cwd/'):
        for flags in (os.O_RDWR, os.O_RDONLY):
            try:
                os.open(path, flags)
                return n * n
            except OSError:
                pass
    raise PermissionError('none opened')
