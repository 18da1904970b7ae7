# What makes a fork of the zygote cheap. A fork pays for each mapping, for each page that the
# zygote has written, and once more for each page that it writes itself.
#
# The last part of the zygote's script. None of it is needed: where the kernel or the C library
# offers less, all stays as it was. `proc` is a descriptor of the folder /proc, which the zygote
# may not see, and `libc` what `c_library` returns.
PAGE = resource.getpagesize()
HUGE_PAGE = 2 << 20
# As the kernel has them.
PROT_READ_WRITE, PROT_READ_EXEC, MAP_PRIVATE_ANONYMOUS = 3, 5, 0x22
MREMAP_MAYMOVE_FIXED, MADV_DONTNEED, MADV_HUGEPAGE, MADV_COLLAPSE = 3, 4, 14, 25
IO_URING_SETUP, IO_URING_REGISTER, REGISTER_BUFFERS = 425, 427, 0
# The kind of a page in a page map: in memory, and of one process alone. Other bits are set in
# those of files and in what was swapped out.
PRESENT, EXCLUSIVE = 0x80, 0x01
# Far more than the few calls take that are on the stack before the first fork.
STACK_IN_USE = 128 << 10


def c_library():
    """All functions take and return words."""
    import ctypes

    class Library(ctypes.CDLL):
        def __getitem__(self, name):
            call = super().__getitem__(name)
            call.restype = ctypes.c_ulong
            return lambda *words: call(*map(ctypes.c_ulong, words))

    return Library(None)


def mappings(proc):
    """Where each mapping of this process begins and ends, how it is accessed, and what it is of."""
    found = []
    with open(os.open("self/maps", os.O_RDONLY, dir_fd=proc)) as lines:
        for line in lines:
            span, access, *rest = line.split(None, 5)
            begin, end = (int(address, 16) for address in span.split("-"))
            found.append((begin, end, access, rest[3].strip() if len(rest) > 3 else ""))
    return found


def code_span():
    """Where the interpreter's code and constants begin and end in memory, as its ELF header says."""
    import ctypes

    class Found(ctypes.Structure):
        _fields_ = [(name, ctypes.c_size_t) for name in ("path", "base", "symbol", "address")]

    found = Found()
    inside = ctypes.cast(ctypes.pythonapi.PyObject_Call, ctypes.c_void_p)
    if not ctypes.CDLL(None).dladdr(inside, ctypes.byref(found)):
        return 0, 0
    header = ctypes.string_at(found.base, 64)
    if header[:5] != b"\x7fELF\x02":
        return 0, 0
    kind, table, size, count = struct.unpack_from("=16xH14xQ14xHH", header)
    # Addresses of an executable at a fixed place are not relative to it.
    shift = 0 if kind == 2 else found.base
    begin = end = found.base
    for i in range(count):
        entry = ctypes.string_at(found.base + table + i * size, 56)
        kind, flags, address, length = struct.unpack("=II8xQ16xQ8x", entry)
        # Loaded, not to be written, and where the last one ended.
        if kind == 1 and not flags & 2 and shift + address // PAGE * PAGE == end:
            end = -(-(shift + address + length) // PAGE) * PAGE
    return begin, end


def gather_code(libc):
    """Moves the interpreter's code and constants into huge pages. A fork copies an entry for each
    of them, where it would find 4 KiB after 4 KiB by a fault."""
    begin, end = code_span()
    begin, end = -(-begin // HUGE_PAGE) * HUGE_PAGE, end // HUGE_PAGE * HUGE_PAGE
    if begin >= end:
        return
    size, nowhere = end - begin, (1 << 64) - 1
    room = libc.mmap(0, size + HUGE_PAGE, PROT_READ_WRITE, MAP_PRIVATE_ANONYMOUS, nowhere, 0)
    if room == nowhere:
        return
    to = -(-room // HUGE_PAGE) * HUGE_PAGE
    # Huge from its first byte on where that is allowed; the second call only makes sure then.
    libc.madvise(to, size, MADV_HUGEPAGE)
    libc.memmove(to, begin, size)
    if libc.madvise(to, size, MADV_COLLAPSE) or libc.mprotect(to, size, PROT_READ_EXEC):
        libc.munmap(room, size + HUGE_PAGE)
        return
    # In one step, and with the same bytes: what runs there goes on.
    libc.mremap(to, size, size, MREMAP_MAYMOVE_FIXED, begin)
    for unused, length in ((room, to - room), (to + size, room + HUGE_PAGE - to)):
        if length:
            libc.munmap(unused, length)


def join_libraries(libc, proc):
    """The headers and constants of a library become executable, like the code between them:
    three mappings become one."""
    for begin, end, access, name in mappings(proc):
        if access == "r--p" and ".so" in os.path.basename(name):
            libc.mprotect(begin, end - begin, PROT_READ_EXEC)


def give_back(libc, proc):
    """Gives back what the warm-up used last: free ends of the heap, and the depth of the stack."""
    libc.malloc_trim(0)
    for begin, end, _, name in mappings(proc):
        if name == "[stack]" and begin < end - STACK_IN_USE:
            libc.madvise(begin, end - STACK_IN_USE - begin, MADV_DONTNEED)


def pages(proc, process, spans, wanted):
    """The numbers of the pages of these spans whose entry in the process's page map is wanted."""
    found = set()
    with open(os.open(process + "/pagemap", os.O_RDONLY, dir_fd=proc), "rb", 0) as entries:
        for begin, end in spans:
            read = os.pread(entries.fileno(), (end - begin) // PAGE * 8, begin // PAGE * 8)
            # Of each entry the byte that says what kind of page it is.
            kinds = enumerate(read[7::8] if sys.byteorder == "little" else read[::8], begin // PAGE)
            found.update([page for page, kind in kinds if kind in wanted])
    return found


def stopped_after(run, channel):
    """A fork that has run the candidate with this channel, and waits to be looked at."""
    pid = os.fork()
    if pid == 0:
        try:
            run(channel)
            os.kill(os.getpid(), _signal.SIGSTOP)
        finally:
            os._exit(0)
    if not os.WIFSTOPPED(os.waitpid(pid, os.WUNTRACED)[1]):
        raise ChildProcessError
    return pid


def open_ring(libc):
    """A descriptor that can hold pages for the kernel's input and output, or -1."""
    import ctypes

    settings = ctypes.create_string_buffer(120)
    ring = libc.syscall(IO_URING_SETUP, 1, ctypes.addressof(settings))
    return -1 if ring >> 63 else ring


def found_hot(libc, proc, channels):
    """The pages that each of the candidates with these channels writes, as the kernel takes buffers:
    all of them, and those that are of no file."""

    def ask_too(channel):
        open_ring(libc)
        be_candidate(channel)

    forks = []
    try:
        # Where whoever asks for a ring is killed, that is the first fork.
        for run, channel in zip([ask_too] + [be_candidate] * len(channels), channels):
            forks.append(stopped_after(run, channel))
        written = [(begin, end, name) for begin, end, access, name in mappings(proc) if access == "rw-p"]
        spans = [(begin, end) for begin, end, _ in written]
        hot = pages(proc, "self", spans, {PRESENT, PRESENT | EXCLUSIVE})
        # Their numbers where `proc` is from, which may be others here.
        with open(os.open("thread-self/children", os.O_RDONLY, dir_fd=proc)) as children:
            for process in children.read().split():
                hot &= pages(proc, process, spans, {PRESENT | EXCLUSIVE})
    finally:
        for pid in forks:
            os.kill(pid, _signal.SIGKILL)
            os.waitpid(pid, 0)
    of_files = [range(begin // PAGE, end // PAGE) for begin, end, name in written if name.startswith("/")]
    return buffers(hot), buffers(hot.difference(*of_files))


def buffers(held):
    """These pages as the kernel takes buffers: pairs of an address and a size."""
    runs = []
    for page in sorted(held):
        if runs and page * PAGE == sum(runs[-1]):
            runs[-1][1] += PAGE
        else:
            runs.append([page * PAGE, PAGE])
    return struct.pack(f"={2 * len(runs)}Q", *itertools.chain(*runs))


def answer_of_fork(question, *arguments):
    """What this function returns in a fork, so that the work leaves no trace in the heap here."""
    reading, writing = os.pipe()
    with open(reading, "rb", 0) as heard:
        with open(writing, "wb", 0) as said:
            pid = os.fork()
            if pid == 0:
                try:
                    said.write(marshal.dumps(question(*arguments)))
                finally:
                    os._exit(0)
        answer = heard.read()
    os.waitpid(pid, 0)
    return marshal.loads(answer)


def hold_hot_pages(libc, proc, channels):
    """Holds the pages that each of the candidates with these channels writes. Those that are held
    for input and output the kernel copies while it forks, all in one go; each of the others by a
    fault of the fork, or of this process. Returns the descriptor that holds them, or -1."""
    import ctypes

    choices = answer_of_fork(found_hot, libc, proc, channels)
    ring = open_ring(libc)
    if ring < 0:
        return -1
    # Before Linux 6.5 a private copy of a file's page could not be held.
    for held in choices:
        address = ctypes.cast(held, ctypes.c_void_p).value
        if not libc.syscall(IO_URING_REGISTER, ring, REGISTER_BUFFERS, address, len(held) // 16):
            return ring
    os.close(ring)
    return -1


def make_forks_cheap(proc, channels):
    """All of it. Returns the descriptor that holds pages, or -1."""
    try:
        libc = c_library()
        gather_code(libc)
        join_libraries(libc, proc)
        give_back(libc, proc)
        # A fork that rehearses is like those that follow only if nothing is collected in between.
        gc.collect()
        gc.freeze()
        return hold_hot_pages(libc, proc, channels)
    except Exception:
        return -1
