# The candidate: what a fork of the zygote does with the program it is given.
#
# It is the second part of the zygote's script. All of it runs in the process of the program,
# which can change any of it: nothing here is trusted, and nothing here knows an expected
# value. In the modes `function` and `method` it answers each test with a frame on the
# channel; in the mode `stdio` standard output is the channel.

(VALUE, COMPILE_ERROR, TEST_ERROR, MEMORY_ERROR, LOAD_ERROR, NO_ENTRY, LOAD_MEMORY, LOADED) = range(1, 9)
# Made ahead of time: a program that has used up its memory leaves none to make one.
EMPTY_FRAMES = {kind: bytes([0, 0, 0, 0, kind]) for kind in range(1, 9)}
STDIO_MEMORY = bytes([0, MEMORY_ERROR])

# What counts as a value: exact builtin types; library containers too; anything iterable too.
BUILTIN, LIBRARY, ITERABLE = range(3)

# `holder` names the class of a method ("" for a function), `argument` the position of the
# argument that is the answer (-1 for what is returned).
Call = namedtuple("Call", "holder name argument containers reports", defaults=(-1, LIBRARY, False))

type_name = type.__dict__["__name__"].__get__
error_args = BaseException.__dict__["args"].__get__


def describe(error):
    """The exception in one line, without running any code of the program."""
    text = type_name(type(error))
    args = error_args(error)
    if args and type(args[0]) is str:
        text += ": " + args[0][:200]
    return text[:200].encode("utf-8", "replace")


# --- values -------------------------------------------------------------------------------


def plain(value, containers, depth=0):
    """The same value made of exact builtin types; subclasses of containers are unwrapped."""
    if value is None or type(value) in (bool, int, float, str, bytes):
        return value
    if depth > 250:
        raise ValueError("value nested too deep")
    if isinstance(value, (list, deque)):
        base = list if isinstance(value, list) else deque
        return [plain(item, containers, depth + 1) for item in base.__iter__(value)]
    if isinstance(value, tuple):
        return tuple([plain(item, containers, depth + 1) for item in tuple.__iter__(value)])
    if isinstance(value, set):
        return {plain(item, containers, depth + 1) for item in set.__iter__(value)}
    if isinstance(value, frozenset):
        return frozenset([plain(item, containers, depth + 1) for item in frozenset.__iter__(value)])
    if isinstance(value, dict):
        pairs = dict.items(value)
        return {
            plain(key, containers, depth + 1): plain(item, containers, depth + 1)
            for key, item in pairs
        }
    if isinstance(value, int):
        return int.__pos__(value)
    if isinstance(value, float):
        return float.__pos__(value)
    if isinstance(value, str):
        return str.__str__(value)
    if containers == ITERABLE and hasattr(type(value), "__iter__"):
        return [plain(item, containers, depth + 1) for item in value]
    raise TypeError("returned a " + type(value).__name__)


def encode(value, containers):
    try:
        return marshal.dumps(value, 2)
    except ValueError:
        if containers == BUILTIN:
            raise TypeError("returned a " + type(value).__name__ + " that is no plain value")
        return marshal.dumps(plain(value, containers), 2)


# --- functions and methods ----------------------------------------------------------------


def find_entry(scope, call):
    """What to call for one test: a function, or a method of a fresh instance."""
    if not call.holder:
        found = scope.get(call.name)
        if callable(found):
            return found
    return getattr(scope[call.holder or "Solution"](), call.name)


def has_entry(scope, call):
    if not call.holder and callable(scope.get(call.name)):
        return True
    holder = scope.get(call.holder or "Solution")
    return isinstance(holder, type) and hasattr(holder, call.name)


def answer(scope, call, arguments):
    arguments = marshal.loads(arguments)
    returned = find_entry(scope, call)(*arguments)
    if call.argument >= 0:
        returned = arguments[call.argument]
    return encode(returned, call.containers)


def run_tests(scope, call, tests, send):
    for arguments in tests:
        try:
            payload = answer(scope, call, arguments)
        except MemoryError:
            payload = None
        except BaseException as error:
            send(TEST_ERROR, describe(error))
            continue
        if payload is None:
            send(MEMORY_ERROR, b"")
        else:
            send(VALUE, payload)


def run_calls(program, call, tests, send):
    try:
        code = compile(program, "<program>", "exec", 0, True)
    except BaseException as error:
        return send(COMPILE_ERROR, describe(error))
    module = types.ModuleType("solution")
    sys.modules["solution"] = module
    scope = module.__dict__
    try:
        exec(code, scope)
        found = has_entry(scope, call)
    except MemoryError:
        found = None
    except BaseException as error:
        return send(LOAD_ERROR, describe(error))
    if found is None:
        return send(LOAD_MEMORY, b"")
    if not found:
        return send(NO_ENTRY, b"")
    if call.reports:
        send(LOADED, b"")
    run_tests(scope, call, tests, send)


# --- programs that read and print ---------------------------------------------------------


def put_in_place(stdin, channel):
    """Makes `stdin` the standard input, a file as a judge would give it, and the channel the
    standard output."""
    file = os.memfd_create("stdin")
    rest = memoryview(stdin)
    while rest:
        rest = rest[os.write(file, rest) :]
    os.lseek(file, 0, os.SEEK_SET)
    os.dup2(file, 0)
    os.close(file)
    os.dup2(channel, 1)
    try:
        os.fstat(0)
    except OSError:
        # The tier without files refuses the call, which programs ask for the size of their input.
        found = os.stat_result((0o100600, 0, 0, 1, 0, 0, len(stdin), 0, 0, 0))
        of_system, os.fstat = os.fstat, lambda fd: found if fd == 0 else of_system(fd)
    sys.stdin = sys.__stdin__ = open(0, closefd=False)
    sys.stdout = sys.__stdout__ = open(1, "w", closefd=False)


def run_threads_in_place():
    """Threads are refused. The usual one, which only wants a deeper stack, runs where it is
    started, on the stack that is deep already."""
    import threading

    threading.Thread.start = lambda thread: thread.run()
    threading.Thread.join = lambda thread, timeout=None: None
    threading.Thread.is_alive = lambda thread: False


def exit_status(error):
    code = error.code
    if code is None:
        return 0
    return code & 0xFF if isinstance(code, int) else 1


def run_main(program, channel):
    """Runs a program as the interpreter runs a file. Its exit status says how it went; what
    follows the last null byte on the channel says why, where that is not zero."""
    try:
        code = compile(program, "<program>", "exec", 0, True)
    except BaseException as error:
        os.write(channel, bytes([0, COMPILE_ERROR]) + describe(error))
        os._exit(1)
    if "threading" in program:
        run_threads_in_place()
    module = types.ModuleType("__main__")
    sys.modules["__main__"] = module
    status, reason = 0, b""
    try:
        try:
            exec(code, module.__dict__)
        except SystemExit as error:
            status = exit_status(error)
        atexit._run_exitfuncs()
        sys.stdout.flush()
        if sys.__stdout__ is not sys.stdout:
            sys.__stdout__.flush()
    except MemoryError:
        status, reason = 1, STDIO_MEMORY
    except BaseException as error:
        status, reason = 1, bytes([0, TEST_ERROR]) + describe(error)
    if reason:
        os.write(channel, reason)
    os._exit(status)


# --- the fork -----------------------------------------------------------------------------


def read_exact(fd, size):
    parts = []
    while size:
        part = os.read(fd, min(size, 1 << 20))
        if not part:
            os._exit(0)
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


CEILINGS = {number: resource.getrlimit(number)[1] for number in range(resource.RLIMIT_AS + 4)}


def write_frame(fd, kind, payload):
    frame = EMPTY_FRAMES[kind]
    if payload:
        # A large payload is not copied: there may be no memory for it.
        head, size = len(payload).to_bytes(4, "little") + frame[4:], len(payload)
        start = min(size, 1 << 16)
        sent = os.write(fd, head + payload[:start]) - len(head)
        rest = memoryview(payload)
        while sent < size:
            sent += os.write(fd, rest[sent : sent + (1 << 20)])
    else:
        os.write(fd, frame)


def limit(limits):
    for name, soft, hard in limits:
        # What is limited more tightly already cannot be loosened, and need not be.
        ceiling = CEILINGS[name]
        if ceiling != resource.RLIM_INFINITY:
            soft, hard = min(soft, ceiling), min(hard, ceiling)
        resource.setrlimit(name, (soft, hard))


def be_candidate(fd):
    size = int.from_bytes(read_exact(fd, 4), "little")
    program, call, tests, limits = marshal.loads(read_exact(fd, size))
    if call is None:
        put_in_place(tests, fd)
        limit(limits)
        run_main(program, fd)
    limit(limits)
    run_calls(program, Call(*call), tests, lambda kind, payload: write_frame(fd, kind, payload))
