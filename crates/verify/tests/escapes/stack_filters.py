# expect: runtime_error
# Filters and rulesets of its own, to confuse whoever reads the signals.
import ctypes, platform

def f(n):
    libc = ctypes.CDLL(None)
    seccomp = {'x86_64': 317, 'aarch64': 277}[platform.machine()]
    refused = [libc.prctl(22, 1, 0, 0, 0), libc.prctl(22, 2, 0, 0, 0), libc.syscall(seccomp, 0, 0, 0)]
    refused += [libc.syscall(444, 0, 0, 1), libc.syscall(446, 0, 0), libc.prctl(4, 1, 0, 0, 0)]
    refused += [libc.prctl(36, 1, 0, 0, 0), libc.prctl(59, 0, 0, 0, 0)]
    if all(answer == -1 for answer in refused):
        raise PermissionError('all refused')
    return n * n
