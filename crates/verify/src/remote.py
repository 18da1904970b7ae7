# A run on a remote service: what stands around `candidate.py` there.
#
# The job and the answers travel as files, for what a program prints is its own. As everywhere,
# all of this runs in the process of the program, and nothing here knows an expected value.
import atexit
import io
import marshal
import os
import resource
import sys
import types
from collections import deque, namedtuple


def answer_job():
    with open("axiom_job", "rb") as file:
        program, call, tests = marshal.loads(file.read())
    frames = open("axiom_frames", "wb", buffering=0)

    def send(kind, payload):
        frames.write(len(payload).to_bytes(4, "little") + bytes([kind]) + payload)

    run_calls(program, Call(*call), tests, send)
    frames.close()
