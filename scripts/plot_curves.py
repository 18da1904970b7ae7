"""Draws the learning curves of one or more runs against wall-clock seconds (evaluation apart), from the events.jsonl in
each run folder.

    plot_curves.py runs/a runs/b --label grpo --label sft --metric solve_rate --out curves.svg

Metrics are numbers of the step events (solve_rate, reward_mean, ...) and, as `eval` or `eval:<tier>`, the share passed
in the eval events. There is one panel for each metric, one line for each run, and one label for each run, in order.
The suffix of --out chooses the format.
"""

import argparse
import json
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt


def read_events(run):
    path = run / "events.jsonl" if run.is_dir() else run
    for number, line in enumerate(path.read_text().splitlines(), 1):
        try:
            yield json.loads(line)
        except json.JSONDecodeError:
            print(f"{path}:{number}: not a JSON object, skipped (a run still being written ends like this)")


def value(event, metric):
    """The metric's value at this event, or None where the event does not have it."""
    kind, _, tier = metric.partition(":")
    if kind != "eval":
        return event.get(metric) if event.get("type") == "step" else None
    if event.get("type") != "eval":
        return None
    counts = event.get("tiers", {}).get(tier) if tier else event
    return counts["passed"] / counts["n"] if counts and counts.get("n") else None


def curve(events, metric):
    """The metric against the seconds that steps had taken when the event was written."""
    seconds, points = 0.0, []
    for event in events:
        if event.get("type") == "step":
            seconds += sum(event["timing"][f"{stage}_s"] for stage in ("generate", "verify", "learn"))
        y = value(event, metric)
        if y is not None:
            points.append((seconds, y))
    return points


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", type=Path, help="run folders, or events.jsonl files")
    parser.add_argument("--label", action="append", default=[], help="one for each run; the folder's name otherwise")
    parser.add_argument("--metric", action="append", help="may be repeated; solve_rate and eval if none is given")
    parser.add_argument("--out", type=Path, default=Path("curves.png"))
    args = parser.parse_args()
    if len(args.label) > len(args.runs):
        parser.error("more labels than runs")
    labels = args.label + [run.name for run in args.runs[len(args.label) :]]
    metrics = args.metric or ["solve_rate", "eval"]

    runs = [list(read_events(run)) for run in args.runs]
    figure, axes = plt.subplots(1, len(metrics), figsize=(5.5 * len(metrics), 3.8), squeeze=False, layout="constrained")
    for axis, metric in zip(axes[0], metrics):
        for label, events in zip(labels, runs):
            points = curve(events, metric)
            if points:
                axis.plot(*zip(*points), label=label, marker="o" if metric.startswith("eval") else None)
        axis.set(xlabel="seconds", ylabel=metric.replace("_", " "))
        axis.grid(alpha=0.3)
        if axis.lines:
            axis.legend()
        else:
            print(f"no run has {metric}")
    figure.savefig(args.out, dpi=110)


if __name__ == "__main__":
    main()
