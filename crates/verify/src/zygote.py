# The zygote: a warmed-up Python that forks one candidate at a time.
#
# The verifier starts it with three arguments, the numbers of inherited descriptors: the control
# socket, the folder /proc, and a Landlock ruleset or -1. It imports what programs use, puts up the
# walls, and then answers the control socket. It never reads a byte that a candidate wrote:
# the program and its inputs travel on a socket of their own, which only the fork reads. What
# the fork does with them is in `candidate.py`, the second part of this script.
import sys

sys.path[:] = [folder for folder in sys.path if folder]

import os

# Hooks that run after every fork cost time and reseed `random`; the modules below get none.
os.register_at_fork = lambda **hooks: None

import atexit
import gc
import io
import marshal
import resource
import types
import _signal
import _socket
import itertools
import struct
from collections import deque, namedtuple

CONTROL_FD = 3

# Every page of the zygote costs every fork, so only what most programs use.
LEAN = """math cmath collections heapq itertools functools bisect re string random operator
typing copy enum abc types array contextlib time""".split()
FAT = """dataclasses numbers traceback json datetime calendar decimal fractions statistics hashlib
base64 binascii struct textwrap difflib unicodedata queue threading graphlib pprint reprlib
secrets uuid io csv collections.abc html html.parser urllib.parse zlib warnings weakref inspect
ast dis keyword tokenize token locale zoneinfo shlex fnmatch glob pathlib tempfile timeit codecs
colorsys sched ipaddress hmac signal platform stringprep encodings.idna encodings.utf_16
encodings.latin_1 encodings.ascii importlib.util pickle ctypes _strptime opcode heapq asyncio
__future__ linecache argparse logging""".split()


def import_all(names):
    for name in names:
        try:
            __import__(name)
        except ImportError:
            pass


# --- before the first fork ----------------------------------------------------------------

WARM_UP = [
    ("def f(a, b):\n    return a + b\n", "f", [(1, 2), ("a", "b"), ([1], [2]), (1, "a")]),
    ("class Solution:\n    def f(self, a):\n        return {a: (a, None, True, 1.5)}\n", "f", [(1,)]),
    ("def f(:\n", "f", []),
    ("raise ValueError('x')\n", "f", []),
    ("g = 1\n", "f", []),
    (
        "import functools\n@functools.lru_cache(None)\ndef f(n):\n"
        "    return n if n < 2 else f(n - 1) + f(n - 2)\n",
        "f",
        [(30,), (10**6,)],
    ),
    (
        "from typing import List\nfrom collections import defaultdict, deque\nimport heapq\n"
        "def f(n: int) -> List[int]:\n    d = defaultdict(list)\n    q = deque([n])\n"
        "    table = [[0] * (n + 1) for _ in range(n + 1)]\n"
        "    for i in range(1, n + 1):\n        for j in range(1, n + 1):\n"
        "            table[i][j] = min(table[i - 1][j], table[i][j - 1]) + 1\n"
        "            d[i % 7].append((i, j))\n"
        "    h = []\n    while q:\n        x = q.popleft()\n        heapq.heappush(h, (x, str(x)))\n"
        "        if x > 0:\n            q.append(x - 1)\n"
        "    return sorted({k: len(v) for k, v in d.items()}.items(), key=lambda p: -p[1])\n",
        "f",
        [(20,), (-1,), (None,)],
    ),
    (
        "def f(s):\n    seen = set()\n    try:\n        return {}['x']\n    except KeyError as e:\n"
        "        return f'{len(s):>5}|{s!r}' + ''.join(c for c in reversed(s)).upper()\n",
        "f",
        [("hello world",), ("",)],
    ),
    (
        "def f(nums, k):\n    best, total, window = 0, 0, []\n    for i, x in enumerate(nums):\n"
        "        total += x\n        window.append(total)\n        if i >= k:\n"
        "            total -= nums[i - k]\n        best = max(best, total, len(window) - 9)\n"
        "    return [best, window[-1:]]\n",
        "f",
        [(list(range(30)), 4), ([], 1)],
    ),
]
# So many of the last of them are like most programs.
TYPICAL = 2


def rehearsal(program, entry, tests):
    """What a candidate is given: a channel with this job in it. The other end is a socket, too."""
    ours, theirs = _socket.socketpair()
    own_limits = [(resource.RLIMIT_CORE, *resource.getrlimit(resource.RLIMIT_CORE))]
    blobs = [marshal.dumps(arguments, 2) for arguments in tests]
    job = marshal.dumps((program, ("", entry), blobs, own_limits), 2)
    ours.send(len(job).to_bytes(4, "little") + job)
    return theirs, ours


def warm_up(proc):
    """Leaves every page as a fork should find it. Returns the descriptor that holds some, or -1."""
    for job in WARM_UP * 3:
        channel, _other_end = rehearsal(*job)
        be_candidate(channel.fileno())
    sys.modules.pop("solution", None)
    typical = [rehearsal(*job) for job in WARM_UP[-TYPICAL:]]
    return make_forks_cheap(proc, [channel.fileno() for channel, _ in typical])


class WallError(Exception):
    pass


def drop_user(uid):
    """Root that may not change its user stays, and loses its capabilities like everyone."""
    if uid is None:
        return
    try:
        os.setgroups([])
        os.setresgid(uid, uid, uid)
        os.setresuid(uid, uid, uid)
    except OSError:
        pass


def build_walls(config, ruleset_fd):
    """Puts up the walls that last; returns those that every fork puts up for itself."""
    try:
        import ctypes
    except ImportError:
        raise WallError("seccomp filter: this python lacks the ctypes module")
    libc = ctypes.CDLL(None, use_errno=True)
    prctl, syscall = libc.prctl, libc.syscall
    prctl.argtypes = [ctypes.c_int] + [ctypes.c_ulong] * 4
    syscall.argtypes = [ctypes.c_long] * 4
    syscall.restype = ctypes.c_long

    def require(wall, result):
        if result != 0:
            raise WallError(wall + ": " + os.strerror(ctypes.get_errno()))

    drop_user(config["uid"])
    # Version 3, this process; no capability in any of the three sets.
    header, none = (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()
    addresses = ctypes.addressof(header), ctypes.addressof(none)
    require("no capabilities", syscall(config["capset"], *addresses, 0))
    # Changing the user clears both of these.
    require("parent death signal", prctl(1, 9, 0, 0, 0))
    require("not dumpable", prctl(4, 0, 0, 0, 0))
    require("no new privileges", prctl(38, 1, 0, 0, 0))
    if ruleset_fd >= 0:
        require("landlock", syscall(config["landlock_restrict_self"], ruleset_fd, 0, 0))
        os.close(ruleset_fd)

    class Program(ctypes.Structure):
        _fields_ = [("length", ctypes.c_ushort), ("filter", ctypes.c_char_p)]

    def refuse_calls(code):
        program = Program(len(code) // 8, code)
        address = ctypes.addressof(program)
        if syscall(config["seccomp"], 1, 4, address) != 0:
            require("seccomp filter", syscall(config["seccomp"], 1, 0, address))

    needs_filter = config["fork_filter"] and not process_limit_holds()
    for code in config["stackable_filters" if needs_filter else "filters"]:
        refuse_calls(code)
    limit(config["limits"])
    zygote = os.getpid()

    def tie_to_parent():
        prctl(1, 9, 0, 0, 0)
        if os.getppid() != zygote:
            os._exit(0)

    walls = []
    # Nothing outlives process 1 of a namespace anyway.
    if not config["is_init"]:
        walls.append(tie_to_parent)
    if needs_filter:
        walls.append(lambda: refuse_calls(config["fork_filter"]))
    return walls


def process_limit_holds():
    """Not for root's own number, whatever it is called in a namespace, and not in gVisor."""
    pid = os.fork()
    if pid == 0:
        resource.setrlimit(resource.RLIMIT_NPROC, (0, 0))
        try:
            if os.fork() != 0:
                os._exit(1)
        except OSError:
            pass
        os._exit(0)
    return os.waitpid(pid, 0)[1] == 0


def serve(control, walls):
    fork, wait4, close = os.fork, os.wait4, os.close
    while True:
        order, ancillary, _, _ = control.recvmsg(1, 64)
        if not order:
            return
        if not ancillary:
            control.send(b"the zygote is out of descriptors")
            continue
        fd = int.from_bytes(ancillary[0][2][:4], sys.byteorder)
        try:
            pid = fork()
        except OSError as error:
            close(fd)
            control.send(("the zygote cannot fork: " + os.strerror(error.errno)).encode())
            continue
        if pid == 0:
            try:
                for put_up in walls:
                    put_up()
                # The kernel tells the verifier who says this, and by which number it knows us.
                control.send(b"P")
                close(CONTROL_FD)
                be_candidate(fd)
            finally:
                os._exit(0)
        # The verifier sees the end of the channel when the fork ends, and only then.
        close(fd)
        # Reaping waits for the order, so that the verifier never holds a stale pid.
        if not control.recv(1):
            return
        _, status, usage = wait4(pid, 0)
        cpu_us = int((usage.ru_utime + usage.ru_stime) * 1e6)
        control.send(status.to_bytes(4, "little") + cpu_us.to_bytes(8, "little"))


def main():
    inherited = [fd for fd in map(int, sys.argv[1:]) if fd >= 0]
    # The copies take the lowest numbers, so what is placed never closes what is still needed.
    placed = [os.dup(fd) for fd in inherited]
    for number, fd in enumerate(placed, CONTROL_FD):
        os.dup2(fd, number)
    os.closerange(CONTROL_FD + len(placed), resource.getrlimit(resource.RLIMIT_NOFILE)[0])
    now = {str(fd): number for number, fd in enumerate(inherited, CONTROL_FD)}
    proc, ruleset_fd = (now.get(argument, -1) for argument in sys.argv[2:])
    control = _socket.socket(fileno=CONTROL_FD)
    try:
        config = marshal.loads(control.recv(1 << 20))
        import_all(LEAN + FAT if config["preload_all"] else LEAN)
        sys.argv[:] = ["solution.py"]
        os.environ.clear()
        held = warm_up(proc)
        if proc >= 0:
            os.close(proc)
        walls = build_walls(config, ruleset_fd)
        if held >= 0:
            walls.append(lambda: os.close(held))
        if "random" in sys.modules:
            sys.modules["random"].seed(config["random_seed"])
        gc.freeze()
    except WallError as error:
        control.send(str(error).encode())
        return
    except BaseException as error:
        control.send(("zygote: " + repr(error)).encode())
        return
    control.send(b"ready")
    serve(control, walls)

