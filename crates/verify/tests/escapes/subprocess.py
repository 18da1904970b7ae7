# expect: runtime_error,violation
import subprocess

def f(n):
    return int(subprocess.check_output(['/bin/echo', str(n * n)]))
