# expect: runtime_error
import os

def f(n):
    for attempt in (
        lambda: os.mkdir('/tmp/axiom-escape'),
        lambda: os.symlink('/etc', '/tmp/axiom-escape'),
        lambda: os.unlink(os.__file__),
        lambda: os.chmod(os.__file__, 0o777),
        lambda: os.rename(os.__file__, '/tmp/axiom-escape'),
        lambda: os.truncate(os.__file__, 0),
    ):
        try:
            attempt()
            return n * n
        except OSError:
            pass
    raise PermissionError('nothing can be changed')
