"""One GRPO step: ours beside TRL's GRPOTrainer, with the same reward: hidden tests, run in the same sandbox.

    python3 scripts/compare_trl.py [--axiom target/release/axiom] [--steps 9] [--set KEY=VALUE]... [--checkpoint DIR] [--bf16]

On the embedded model both take 8 prompts with 16 completions of at most 90 tokens, sampled at temperature 1 from the
same weights, on two threads, and make one update from them, theirs in f32 or, with `--bf16`, by autocast. On a
checkpoint (random_checkpoint.py) they take 2 prompts with 8 completions of 128 tokens, learn by an adapter of rank 16
on all linear layers in the type the checkpoint is stored in, and compute blocks twice (`gradient_checkpointing`, TRL's
default). TRL gets the prompts that our run asked, step by step, and its reward asks `axiom verify --listen`, a batch at
a time. Each side is a process of its own, one after the other; the figures of a step are the means of the steps after
the first two (of fewer than three steps, of all). Peak memory is that of the process, without the sandbox.

TRL 1.16, transformers 5.23 and PyTorch 2.15 were used (README.md of this folder).
"""

import argparse
import json
import os
import re
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from contextlib import contextmanager
from pathlib import Path

HERE = Path(__file__).resolve().parent
EMBEDDED, CHECKPOINT = (8, 16, 90), (2, 8, 128)  # prompts, completions of each, tokens of each
# A step asks all variants of a family side by side: those with two make an even number of prompts.
FAMILIES = (
    "rpn,arithmetic,parentheses,binary_search,two_sum,max_subarray,lcs,edit_distance,knapsack,lis,"
    "coin_change,word_break,merge_intervals,median_sorted_arrays,trapping_rain_water,n_queens"
)
LEARNING_RATE = 1e-5


def mean(values):
    """The mean over the steps after the first two."""
    values = list(values)
    return statistics.mean(values[2:] or values)


def run(command):
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def ours(axiom, steps, more, checkpoint):
    prompts, group, tokens = CHECKPOINT if checkpoint else EMBEDDED
    if checkpoint:
        adapter = ["model.adapter.r=16", "model.adapter.lora_alpha=32", "learn.gradient_checkpointing=true"]
        more = [f"model.path={checkpoint}", *adapter, *more]
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "run"
        settings = [
            f"steps={steps}",
            f"tasks.per_step={prompts}",
            f"tasks.group_size={group}",
            f"sampling.completion_tokens_max={tokens}",
            "learn.replay_per_step=0",
            f"tasks.families={FAMILIES}",
            "method=grpo",
            f"learn.lr={LEARNING_RATE}",
            "learn.beta=0",
            "learn.skip_silent_groups=false",
            "eval.tasks_per_family=1",
            *more,
        ]
        command = [axiom, "run", "--out", out, "--threads", "2", "--json"]
        for setting in settings:
            command += ["--set", setting]
        run(command)
        events = [json.loads(line) for line in (out / "events.jsonl").read_text().splitlines()]
        summary = json.loads((out / "summary.json").read_text())
    stepped = [event for event in events if event["type"] == "step"]
    timing = {key: mean(s["timing"][key] for s in stepped) for key in ("generate_s", "verify_s", "learn_s")}
    figures = dict(
        side="axiom",
        seconds=sum(timing.values()),
        **timing,
        tokens=mean(s["tokens_generated"] for s in stepped),
        reward=mean(s["reward_mean"] for s in stepped),
        peak_mib=summary["memory_peak_bytes"] / 2**20,
    )
    asked = dict.fromkeys((event["step"], event["task"]) for event in events if event["type"] == "completion")
    tasks = run([axiom, "tasks", "show", "--json", *(task for _, task in asked)]).splitlines()
    assert len(tasks) == steps * prompts, f"{len(tasks)} prompts in {steps} steps of {prompts}"
    return figures, [json.loads(task) for task in tasks]


@contextmanager
def sandbox(axiom):
    """What judges a batch: a function from submissions to verdicts."""
    service = subprocess.Popen([axiom, "verify", "--listen", "0", "--threads", "2"], stderr=subprocess.PIPE, text=True)
    try:
        said = service.stderr.readline()
        address = re.search(r"http://[^,]+", said)
        assert address, f"axiom verify --listen: {said}"

        def judge(submissions):
            with urllib.request.urlopen(address[0] + "/verify", json.dumps(submissions).encode()) as answer:
                verdicts = [judged.get("verdict") for judged in json.load(answer)]
            assert not {None, "judge_error"} & set(verdicts), f"not judged: {set(verdicts)}"
            return verdicts

        yield judge
    finally:
        service.terminate()
        service.wait()


def theirs(tasks, judge, steps, checkpoint, bf16):
    import torch
    from datasets import Dataset
    from transformers import AutoModelForCausalLM, AutoTokenizer, TrainerCallback
    from trl import GRPOConfig, GRPOTrainer

    torch.set_num_threads(2)
    prompts, group, tokens = CHECKPOINT if checkpoint else EMBEDDED
    assets = checkpoint or HERE.parent / "assets" / "nano"
    tokenizer = AutoTokenizer.from_pretrained(assets)
    model = AutoModelForCausalLM.from_pretrained(assets, dtype="auto" if checkpoint else torch.float32)
    adapter = None
    if checkpoint:
        from peft import LoraConfig

        adapter = LoraConfig(r=16, lora_alpha=32, target_modules="all-linear", task_type="CAUSAL_LM")
    times, lengths, judging, rewards = [], [], [], []

    def reward(prompts, completions, completion_ids, entry_point, tests, **_):
        start = time.perf_counter()
        columns = zip(prompts, completions, entry_point, tests)
        verdicts = judge([
            dict(id=i, program=prompt + completion, entry_point=name, tests=json.loads(cases))
            for i, (prompt, completion, name, cases) in enumerate(columns)
        ])
        judging.append(time.perf_counter() - start)
        lengths.append(sum(len(ids) for ids in completion_ids))
        paid = [float(verdict == "accepted") for verdict in verdicts]
        rewards.append(statistics.mean(paid))
        return paid

    class Clock(TrainerCallback):
        def on_step_begin(self, *_, **__):
            self.start = time.perf_counter()

        def on_step_end(self, *_, **__):
            times.append(time.perf_counter() - self.start)

    with tempfile.TemporaryDirectory() as folder:
        config = GRPOConfig(
            output_dir=folder,
            max_steps=steps,
            per_device_train_batch_size=prompts * group,
            num_generations=group,
            max_completion_length=tokens,
            temperature=1.0,
            beta=0.0,
            loss_type="grpo",
            shuffle_dataset=False,
            learning_rate=LEARNING_RATE,
            use_cpu=True,
            bf16=bf16,
            gradient_checkpointing=bool(checkpoint),
            report_to=[],
            logging_strategy="no",
            save_strategy="no",
            disable_tqdm=True,
        )
        trainer = GRPOTrainer(
            model=model,
            reward_funcs=reward,
            args=config,
            # Tests as text: a column of a dataset has one type.
            train_dataset=Dataset.from_list([
                dict(prompt=t["prompt"], entry_point=t["entry_point"], tests=json.dumps(t["tests"])) for t in tasks
            ]),
            processing_class=tokenizer,
            callbacks=[Clock()],
            peft_config=adapter,
        )
        trainer.train()
    # A step samples, too: transformers says that it begins before it asks TRL for its inputs.
    return dict(
        side="TRL",
        seconds=mean(times),
        verify_s=mean(judging),
        tokens=mean(lengths),
        reward=mean(rewards),
        peak_mib=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--axiom", default=str(HERE.parent / "target" / "release" / "axiom"))
    parser.add_argument("--steps", type=int, default=9)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="for our side")
    parser.add_argument("--checkpoint", metavar="DIR", help="in the place of the embedded model")
    parser.add_argument("--bf16", action="store_true", help="autocast on their side")
    parser.add_argument("--theirs", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.theirs:
        tasks = json.loads(Path(args.theirs).read_text())
        with sandbox(args.axiom) as judge:
            print(json.dumps(theirs(tasks, judge, args.steps, args.checkpoint, args.bf16)))
        return
    figures, tasks = ours(args.axiom, args.steps, args.set, args.checkpoint)
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(tasks, file)
        file.flush()
        command = [sys.executable, __file__, "--axiom", args.axiom, "--steps", str(args.steps), "--theirs", file.name]
        if args.checkpoint:
            command += ["--checkpoint", args.checkpoint]
        if args.bf16:
            command.append("--bf16")
        env = os.environ | {"HF_HUB_OFFLINE": "1"}
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=env)
    sides = [figures, json.loads(done.stdout.splitlines()[-1])]
    for side in sides:
        print(json.dumps({key: round(value, 3) if isinstance(value, float) else value for key, value in side.items()}))
    print(f"ratio {sides[1]['seconds'] / sides[0]['seconds']:.1f}")


if __name__ == "__main__":
    main()
