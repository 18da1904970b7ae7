"""One GRPO step: ours, sandbox included, beside TRL's GRPOTrainer with a reward that costs nothing.

    python3 scripts/compare_trl.py [--axiom target/release/axiom] [--steps 5] [--set KEY=VALUE]... [--checkpoint DIR]

On the embedded model both take 8 prompts with 16 completions of at most 90 tokens, sampled at temperature 1 from the
same weights, in f32 on two threads, and make one update from them. On a checkpoint (random_checkpoint.py) they take 2
prompts with 8 completions of 128 tokens, learn by an adapter of rank 16 on all linear layers in the type the checkpoint
is stored in, and compute blocks twice (`gradient_checkpointing`, TRL's default). TRL gets the prompts of our tasks as
text and pays a completion for its length, so that no group is silent. Each side is a process of its own, one after the
other; the figure of a step is the median of the steps after the first two (of fewer than three steps, of all). Peak
memory is that of the process (ours without the sandbox's Python).

TRL 1.16, transformers 5.23 and PyTorch 2.15 were used (README.md of this folder).
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
EMBEDDED, CHECKPOINT = (8, 16, 90), (2, 8, 128)  # prompts, completions of each, tokens of each


def ours(axiom, steps, more, checkpoint):
    # A step asks all variants of a family side by side: half the families of CHECKPOINT's prompts.
    prompts, group, tokens = CHECKPOINT if checkpoint else EMBEDDED
    if checkpoint:
        adapter = ["model.adapter.r=16", "model.adapter.lora_alpha=32", "learn.gradient_checkpointing=true"]
        more = [f"model.path={checkpoint}", *adapter, "tasks.families=two_sum", *more]
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "run"
        settings = [
            f"steps={steps}",
            f"tasks.per_step={prompts}",
            f"tasks.group_size={group}",
            f"sampling.completion_tokens_max={tokens}",
            "learn.replay_per_step=0",
            "method=grpo",
            "learn.beta=0",
            "learn.skip_silent_groups=false",
            "eval.tasks_per_family=1",
            *more,
        ]
        command = [axiom, "run", "--out", out, "--threads", "2", "--json"]
        for setting in settings:
            command += ["--set", setting]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        events = [json.loads(line) for line in (out / "events.jsonl").read_text().splitlines()]
        summary = json.loads((out / "summary.json").read_text())
    stepped = [event for event in events if event["type"] == "step"]
    stepped = stepped[2:] or stepped
    median = lambda values: statistics.median(list(values))
    timing = {key: median(s["timing"][key] for s in stepped) for key in ("generate_s", "verify_s", "learn_s")}
    return dict(
        side="axiom",
        seconds=sum(timing.values()),
        **timing,
        tokens=median(s["completion_length_mean"] * s["samples"] for s in stepped),
        peak_mib=summary["memory_peak_bytes"] / 2**20,
    )


def prompts(axiom):
    command = [axiom, "tasks", "export", "--families", "all", "--n", "1"]
    lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
    return [json.loads(line)["prompt"] for line in lines]


def theirs(texts, steps, checkpoint):
    import torch
    from datasets import Dataset
    from transformers import AutoModelForCausalLM, AutoTokenizer, TrainerCallback
    from trl import GRPOConfig, GRPOTrainer

    torch.set_num_threads(2)
    prompts, group, tokens = CHECKPOINT if checkpoint else EMBEDDED
    texts = texts[:prompts]
    assets = checkpoint or HERE.parent / "assets" / "nano"
    tokenizer = AutoTokenizer.from_pretrained(assets)
    model = AutoModelForCausalLM.from_pretrained(assets, dtype="auto" if checkpoint else torch.float32)
    adapter = None
    if checkpoint:
        from peft import LoraConfig

        adapter = LoraConfig(r=16, lora_alpha=32, target_modules="all-linear", task_type="CAUSAL_LM")
    times, lengths = [], []

    def reward(completion_ids, **_):
        lengths.append(sum(len(ids) for ids in completion_ids))
        return [float(len(ids) % 7) for ids in completion_ids]

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
            learning_rate=1e-5,
            use_cpu=True,
            bf16=False,
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
            train_dataset=Dataset.from_list([{"prompt": text} for text in texts] * steps),
            processing_class=tokenizer,
            callbacks=[Clock()],
            peft_config=adapter,
        )
        trainer.train()
    # A step samples, too: transformers says that it begins before it asks TRL for its inputs.
    return dict(
        side="TRL",
        seconds=statistics.median(times[2:] or times),
        tokens=statistics.median(lengths[2:] or lengths),
        peak_mib=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--axiom", default=str(HERE.parent / "target" / "release" / "axiom"))
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="for our side")
    parser.add_argument("--checkpoint", metavar="DIR", help="in the place of the embedded model")
    parser.add_argument("--theirs", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.theirs:
        print(json.dumps(theirs(json.loads(args.theirs), args.steps, args.checkpoint)))
        return
    sides = [ours(args.axiom, args.steps, args.set, args.checkpoint)]
    command = [sys.executable, __file__, "--steps", str(args.steps), "--theirs", json.dumps(prompts(args.axiom))]
    if args.checkpoint:
        command += ["--checkpoint", args.checkpoint]
    env = os.environ | {"HF_HUB_OFFLINE": "1"}
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=env)
    sides.append(json.loads(done.stdout.splitlines()[-1]))
    for side in sides:
        print(json.dumps({key: round(value, 3) if isinstance(value, float) else value for key, value in side.items()}))
    print(f"ratio {sides[1]['seconds'] / sides[0]['seconds']:.1f}")


if __name__ == "__main__":
    main()
