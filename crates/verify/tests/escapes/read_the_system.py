# expect: runtime_error
import os

def f(n):
    for path in ('/etc/passwd', '/etc/hostname', '/root/.bashrc', '/proc/1/cmdline', '/sys/kernel/uevent_seqnum', '/dev/kmsg'):
        try:
            open(path, 'rb').read(1)
            return n * n
        except OSError:
            pass
    raise PermissionError('nothing can be read')
