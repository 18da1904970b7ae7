# Runs a script inside a call: its streams and its files are in memory, and are what is returned.
import atexit
import builtins
import io
import linecache
import os
import sys
import traceback
import types

STREAM_BYTES_MAX = 1 << 20


class Stream(io.BytesIO):
    """What a script prints; closing it loses nothing."""

    def close(self):
        pass


class File(io.BytesIO):
    """A file that was opened for writing: it has its contents when flushed or closed."""

    open_ones = []

    def __init__(self, files, name, contents, at_end):
        super().__init__(contents)
        self.open_ones.append(self)
        self.files, self.name, self.at_end = files, name, at_end
        if at_end:
            self.seek(0, io.SEEK_END)

    def write(self, data):
        if self.at_end:
            self.seek(0, io.SEEK_END)
        return super().write(data)

    def flush(self):
        if not self.closed:
            self.files[self.name] = self.getvalue()

    def close(self):
        self.flush()
        super().close()


def opener(files, stdin):
    """What `open` is for a script that sees `files`, and beyond them the library."""
    of_system = io.open

    def open(file, mode="r", buffering=-1, encoding=None, errors=None, newline=None, *rest, **more):
        if isinstance(file, int):
            if file == 0:
                return stdin.buffer if "b" in mode else stdin
            return of_system(file, mode, buffering, encoding, errors, newline, *rest, **more)
        name = key(file)
        if "r" in mode and name not in files:
            if os.path.isabs(name):
                return of_system(file, mode, buffering, encoding, errors, newline, *rest, **more)
            raise FileNotFoundError(2, "No such file or directory", name)
        if "x" in mode and name in files:
            raise FileExistsError(17, "File exists", name)
        contents = files.get(name, b"") if "r" in mode or "a" in mode else b""
        if mode.replace("b", "").replace("t", "") == "r":
            raw = io.BytesIO(contents)
        else:
            raw = File(files, name, contents, "a" in mode)
            raw.flush()
        if "b" in mode:
            return raw
        return io.TextIOWrapper(raw, encoding or "utf-8", errors, newline, write_through=True)

    return open


def key(path):
    return os.path.normpath(os.fsdecode(path))


def has(files, found):
    """`os.path.exists` and its like, for `files` first."""

    def answer(path):
        return not isinstance(path, int) and key(path) in files or found(path)

    return answer


def exit_code(error, stderr):
    if error is None:
        return 0
    if isinstance(error, SystemExit):
        if error.code is None:
            return 0
        if isinstance(error.code, int):
            return error.code & 0xFF
        stderr.write(str(error.code) + "\n")
        return 1
    own = error.__traceback__.tb_next
    traceback.print_exception(type(error), error, own, file=stderr)
    return 1


def flush(stream):
    """A script may have put a stream of its own in the place of ours."""
    try:
        stream.flush()
    except Exception:
        pass


def captured(stream):
    return stream.getvalue()[:STREAM_BYTES_MAX]


def run(code, stdin, files, fetch):
    files = {key(name): contents for name, contents in files.items()}
    out, err = Stream(), Stream()
    sys.stdin = io.TextIOWrapper(io.BytesIO(stdin), "utf-8")
    sys.stdout = io.TextIOWrapper(out, "utf-8", write_through=True)
    sys.stderr = io.TextIOWrapper(err, "utf-8", "backslashreplace", write_through=True)
    streams = sys.stdout, sys.stderr
    builtins.open = io.open = opener(files, sys.stdin)
    os.path.exists = has(files, os.path.exists)
    os.path.isfile = has(files, os.path.isfile)
    linecache.cache["main.py"] = len(code), None, code.splitlines(True), "main.py"
    harness = sys.modules["__main__"]
    main = sys.modules["__main__"] = types.ModuleType("__main__")
    error = None
    try:
        exec(compile(code, "main.py", "exec", 0, True), main.__dict__)
    except MemoryError:
        raise
    except BaseException as raised:
        error = raised
    status = exit_code(error, streams[1])
    atexit._run_exitfuncs()
    for stream in (sys.stdout, *File.open_ones):
        flush(stream)
    sys.modules["__main__"] = harness
    contents = {name: files[key(name)] for name in fetch if key(name) in files}
    return status, captured(out), captured(err), contents
