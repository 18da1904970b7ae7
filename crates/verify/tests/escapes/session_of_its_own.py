# expect: runtime_error
import os

def f(n):
    for attempt in (os.setsid, lambda: os.setpgid(0, 0), os.daemon if hasattr(os, 'daemon') else os.setsid):
        try:
            attempt()
            return n * n
        except OSError:
            pass
    raise PermissionError('stays in its session')
