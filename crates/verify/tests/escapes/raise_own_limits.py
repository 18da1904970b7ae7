# expect: runtime_error
import resource

def f(n):
    for name in (resource.RLIMIT_AS, resource.RLIMIT_NPROC, resource.RLIMIT_CPU):
        try:
            resource.setrlimit(name, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
            return n * n
        except (ValueError, OSError):
            pass
    raise PermissionError('limits stay')
