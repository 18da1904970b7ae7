"""Our engine and PyTorch side by side: alternating runs on one machine, medians and their ratio.

Needs `cargo build --release --examples -p axiom` and a Python with torch and transformers (README.md of this folder).
decode is what follows the prompts, generate the prompts and what follows them, both beside a bare loop; generate() is
the latter beside the method of transformers, group 16 completions of each of 8 prompts beside the same method.
"""

import argparse
import json
import statistics
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent


def measurements(command):
    """Tokens per second of each measurement that a command prints as a line of JSON."""
    out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    lines = [json.loads(line) for line in out.splitlines() if line.startswith("{")]
    found = {line["bench"]: line["tokens_per_s"] for line in lines}
    for line in lines:
        if "prefill_s" in line:
            found["generate"] = line["tokens_per_s"] * line["seconds"] / (line["seconds"] + line["prefill_s"])
    if "generate" in found:
        found.setdefault("generate()", found["generate"])
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--python", default=sys.executable, help="an interpreter that has torch and transformers")
    parser.add_argument("--ours", default=str(HERE.parent / "target/release/examples/engine_speed"))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("shapes", nargs="*", default=["tiny", "nano"])
    args = parser.parse_args()
    for shape in args.shapes:
        ours, theirs = [], []
        for _ in range(args.rounds):
            ours.append(measurements([args.ours, shape, "2", "train", "decode", "group"]))
            theirs.append(measurements([args.python, str(HERE / "bench_torch.py"), "--shape", shape]))
        for what in ours[0]:
            a, b = (statistics.median(m[what] for m in side) for side in (ours, theirs))
            print(f"{shape:5} {what:8} ours {a:9.0f} tok/s  PyTorch {b:9.0f} tok/s  ratio {a / b:.2f}", flush=True)


if __name__ == "__main__":
    main()
