# How others run model-written programs, rebuilt for `throughput.rs`: one worker in the named
# style. It reads a line of JSON for each run, {"program", "tests", "seconds"}, and answers
# "1 MILLISECONDS\n" if every test passed, and "0 MILLISECONDS\n" if not. These styles hold the
# expected values inside the process that runs the program, and have no walls.
import json
import multiprocessing
import os
import subprocess
import sys
import tempfile
import time


def check(program, tests):
    scope = {}
    exec(compile(program, "<program>", "exec"), scope)
    return all(scope["f"](*arguments) == expected for arguments, expected in tests)


def in_process(program, tests, seconds):
    """The ceiling: nothing between the program and whoever judges it, and no time limit."""
    return check(program, tests)


SCRIPT = """import json, typing
{program}
failed = 0
for arguments, expected in json.loads({tests!r}):
    failed += f(*arguments) != expected
print(json.dumps({{"failed": failed}}))
"""


def spawned(command, program, tests, seconds, **more):
    try:
        found = subprocess.run(command, capture_output=True, timeout=seconds, **more)
    except subprocess.TimeoutExpired:
        return False
    return found.returncode == 0 and json.loads(found.stdout)["failed"] == 0


def spawn(program, tests, seconds):
    """An interpreter for each run, started as bare as it can be."""
    script = SCRIPT.format(program=program, tests=json.dumps(tests))
    return spawned([sys.executable, "-I", "-S", "-c", script], program, tests, seconds)


def temporary_file(program, tests, seconds):
    """The program and its tests in a file, and an ordinary interpreter for it."""
    with tempfile.NamedTemporaryFile("w", suffix=".py", delete=False) as file:
        file.write(SCRIPT.format(program=program, tests=json.dumps(tests)))
    try:
        return spawned([sys.executable, file.name], program, tests, seconds)
    finally:
        os.unlink(file.name)


def disarm():
    """What stands for these styles' guard: functions of the library that are taken away."""
    for module, names in (
        (os, "kill system putenv remove fork forkpty killpg rename truncate unlink chmod".split()),
        (subprocess, ["Popen"]),
    ):
        for name in names:
            setattr(module, name, None)


def human_eval_child(program, tests, folder, results):
    os.chdir(folder)
    disarm()
    try:
        results.append(check(program, tests))
    except BaseException:
        results.append(False)


def human_eval(program, tests, seconds):
    """A manager process and a child for each run; the result goes through the manager."""
    with multiprocessing.Manager() as manager, tempfile.TemporaryDirectory() as folder:
        results = manager.list()
        arguments = program, tests, folder, results
        child = multiprocessing.Process(target=human_eval_child, args=arguments)
        child.start()
        child.join(timeout=seconds + 1)
        if child.is_alive():
            child.kill()
            child.join()
        return list(results) == [True]


def eval_plus_child(program, tests, passed, details):
    disarm()
    try:
        scope = {}
        exec(compile(program, "<program>", "exec"), scope)
        for at, (arguments, expected) in enumerate(tests):
            details[at] = scope["f"](*arguments) == expected
        passed.value = 1
    except BaseException:
        passed.value = 2


def eval_plus(program, tests, seconds):
    """A child for each run, whose results are in shared memory."""
    passed = multiprocessing.Value("i", 0)
    details = multiprocessing.Array("b", [False] * len(tests))
    child = multiprocessing.Process(target=eval_plus_child, args=(program, tests, passed, details))
    child.start()
    child.join(timeout=seconds + 1)
    if child.is_alive():
        child.terminate()
        child.join()
    return passed.value == 1 and all(details)


def installed_eval_plus(program, tests, seconds):
    """EvalPlus itself, by the function that its command calls for a program and its tests."""
    from evalplus.eval import PASS, untrusted_check

    inputs, expected = zip(*tests)
    status, _ = untrusted_check(
        "humaneval",
        program,
        inputs,
        "f",
        expected,
        atol=0,
        ref_time=[0.0] * len(tests),
        fast_check=True,
        min_time_limit=seconds,
    )
    return status == PASS


def bare_fork(program, tests, seconds):
    """Not a style of anyone: what a fork of a warm interpreter costs by itself."""
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)
    return True


STYLES = {
    function.__name__: function
    for function in (
        in_process,
        spawn,
        temporary_file,
        human_eval,
        eval_plus,
        installed_eval_plus,
        bare_fork,
    )
}


def main():
    style = STYLES[sys.argv[1]]
    for line in sys.stdin:
        order = json.loads(line)
        start = time.perf_counter()
        passed = style(order["program"], order["tests"], order["seconds"])
        print(int(passed), (time.perf_counter() - start) * 1e3, flush=True)


main()
