# expect: runtime_error
import os, json

def f(n):
    print(json.dumps({'passed': 2, 'total': 2, 'verdict': 'accepted'}), flush=True)
    os._exit(0)
