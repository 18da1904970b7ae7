"""The PyTorch side of the speed comparison: training and decoding throughput of a Qwen2-shaped model.

A directory in the place of a shape is that of a checkpoint (random_checkpoint.py), held as it is stored: training then
is that of an adapter of rank 16 on all linear layers, 8 rows of 256 tokens, and decoding 8 rows, 128 prompt tokens, 32 new.

train   one full step: forward, cross entropy on every token, backward, AdamW (fused). Median of `--repeats`
        steps after two warm-up steps; tokens are random, so the loss means nothing.
decode  a bare loop over `past_key_values`: draw a token per row with multinomial at temperature 1, then one
        forward pass of that token. Only this loop is timed; the prefill before it is reported on its own as
        `prefill_s` and not counted. Median of `--repeats` after one warm-up.
generate()  the method of transformers, sampling at temperature 1: prompts and all, median likewise.
group   the same for 16 completions of each of 8 prompts (`num_return_sequences`).

Attention and cache are the defaults of transformers (sdpa, dynamic cache), everything is f32. With --mkl-intel
the process restarts itself with a small shim preloaded that answers MKL's two vendor checks with yes, so that MKL takes
its AVX-512 path on CPUs of other makers too: MKL_VERBOSE=1 names the path, and `sgemm_gflops` (a 1024-cubed product)
shows what it is worth. On a CPU whose AVX-512 units are 256 bits wide (Zen 4) it is worth nothing.

One line of JSON is printed for each measurement.
"""

import argparse
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

# train = (rows, tokens in a row); decode = (rows, prompt tokens, new tokens)
SHAPES = {
    "tiny": dict(vocab=512, hidden=256, layers=6, heads=8, kv_heads=4, ffn=704, train=(16, 256), decode=(32, 128, 64)),
    "nano": dict(vocab=1024, hidden=128, layers=4, heads=4, kv_heads=2, ffn=384, train=(128, 190), decode=(128, 100, 90)),
}
GROUPS = (8, 120, 64, 16)  # prompts, their tokens, new tokens, completions of each prompt
SHIM_SOURCE = "int mkl_serv_intel_cpu(void) { return 1; }\nint mkl_serv_intel_cpu_true(void) { return 1; }\n"
SHIM_DIR = "BENCH_TORCH_SHIM_DIR"


def parse_args():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", default="tiny", help=f"{', '.join(SHAPES)}, or the directory of a checkpoint")
    parser.add_argument("--what", choices=["train", "decode", "generate()", "group", "all"], default="all")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--mkl-intel", action="store_true", help="let MKL believe that the CPU is made by Intel")
    return parser.parse_args()


def restart_with_shim():
    """Replaces this process by itself, with a library preloaded that answers MKL's vendor checks."""
    folder = Path(tempfile.mkdtemp(prefix="mkl-shim-"))
    source, library = folder / "shim.c", folder / "shim.so"
    source.write_text(SHIM_SOURCE)
    subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", library, source], check=True)
    preload = " ".join(filter(None, [str(library), os.environ.get("LD_PRELOAD")]))
    env = os.environ | {"LD_PRELOAD": preload, SHIM_DIR: str(folder)}
    os.execve(sys.executable, [sys.executable, *sys.argv], env)


CHECKPOINT = dict(train=(8, 256), decode=(8, 128, 32))
RANK, ALPHA = 16, 32


def load(directory):
    """A checkpoint as it is stored, its weights frozen, with a LoRA adapter on every linear layer of its blocks."""
    import torch
    from torch import nn
    from transformers import AutoModelForCausalLM

    class Adapted(nn.Module):
        def __init__(self, base):
            super().__init__()
            self.base = base
            self.a = nn.Parameter(torch.randn(RANK, base.in_features, dtype=base.weight.dtype) / base.in_features**0.5)
            self.b = nn.Parameter(torch.zeros(base.out_features, RANK, dtype=base.weight.dtype))

        def forward(self, x):
            return self.base(x) + (x @ self.a.T) @ self.b.T * (ALPHA / RANK)

    model = AutoModelForCausalLM.from_pretrained(directory, dtype="auto").requires_grad_(False)
    for layer in model.model.layers:
        for block in (layer.self_attn, layer.mlp):
            for name, linear in list(block.named_children()):
                if isinstance(linear, nn.Linear):
                    setattr(block, name, Adapted(linear))
    return model


def build_model(shape):
    if "directory" in shape:
        return load(shape["directory"])
    import torch
    from transformers import Qwen2Config, Qwen2ForCausalLM

    torch.manual_seed(0)
    config = Qwen2Config(
        vocab_size=shape["vocab"],
        hidden_size=shape["hidden"],
        intermediate_size=shape["ffn"],
        num_hidden_layers=shape["layers"],
        num_attention_heads=shape["heads"],
        num_key_value_heads=shape["kv_heads"],
        tie_word_embeddings=True,
        max_position_embeddings=1024,
    )
    return Qwen2ForCausalLM(config).float()


def timed(function):
    start = time.perf_counter()
    result = function()
    return time.perf_counter() - start, result


def sgemm_gflops():
    import torch

    a, b = torch.randn(1024, 1024), torch.randn(1024, 1024)
    a @ b
    seconds = min(timed(lambda: a @ b)[0] for _ in range(10))
    return 2 * 1024**3 / seconds / 1e9


def bench_train(shape, repeats):
    import torch
    import torch.nn.functional as F

    rows, length = shape["train"]
    model = build_model(shape).train()
    learned = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(learned, lr=1e-4, betas=(0.9, 0.98), weight_decay=0.05, fused=True)
    ids = torch.randint(shape["vocab"], (rows, length))
    labels = torch.randint(shape["vocab"], (rows, length))

    def step():
        logits = model(input_ids=ids, use_cache=False).logits
        loss = F.cross_entropy(logits.flatten(0, 1), labels.flatten())
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()

    step(), step()
    seconds = statistics.median(timed(step)[0] for _ in range(repeats))
    return dict(rows=rows, length=length, seconds=seconds, tokens_per_s=rows * length / seconds)


def bench_decode(shape, repeats):
    import torch

    rows, prompt, new = shape["decode"]
    model = build_model(shape).eval()
    ids = torch.randint(shape["vocab"], (rows, prompt))

    def decode(output):
        for _ in range(new):
            token = torch.multinomial(output.logits[:, -1].softmax(-1), 1)
            output = model(input_ids=token, past_key_values=output.past_key_values, use_cache=True)

    def once():
        prefill_s, output = timed(lambda: model(input_ids=ids, use_cache=True, logits_to_keep=1))
        return timed(lambda: decode(output))[0], prefill_s

    with torch.no_grad():
        once()
        runs = [once() for _ in range(repeats)]
    seconds = statistics.median(run[0] for run in runs)
    prefill_s = statistics.median(run[1] for run in runs)
    return dict(
        rows=rows, prompt=prompt, new=new, seconds=seconds, prefill_s=prefill_s, tokens_per_s=rows * new / seconds
    )


def generate(shape, repeats, prompts, length, new, samples=1):
    """Tokens per second of the method of transformers, prompts and all: `samples` completions of each prompt."""
    import torch

    model = build_model(shape).eval()
    ids = torch.randint(shape["vocab"], (prompts, length))
    mask = torch.ones_like(ids)
    until = dict(max_new_tokens=new, min_new_tokens=new, pad_token_id=0)

    def once():
        model.generate(ids, attention_mask=mask, do_sample=True, top_k=0, num_return_sequences=samples, **until)

    once()
    seconds = statistics.median(timed(once)[0] for _ in range(repeats))
    rate = prompts * samples * new / seconds
    return dict(prompts=prompts, samples=samples, prompt=length, new=new, seconds=seconds, tokens_per_s=rate)


def bench_generate(shape, repeats):
    return generate(shape, repeats, *shape["decode"])


def bench_group(shape, repeats):
    return generate(shape, repeats, *GROUPS)


def main():
    args = parse_args()
    if args.mkl_intel and SHIM_DIR not in os.environ:
        restart_with_shim()
    import torch
    import transformers

    if folder := os.environ.get(SHIM_DIR):
        shutil.rmtree(folder, ignore_errors=True)  # the library stays mapped
    torch.set_num_threads(args.threads)

    shape = SHAPES.get(args.shape)
    if shape is None:
        vocab = json.loads((Path(args.shape) / "config.json").read_text())["vocab_size"]
        shape = dict(directory=args.shape, vocab=vocab, **CHECKPOINT)
    common = dict(
        shape=args.shape,
        threads=args.threads,
        mkl_intel=args.mkl_intel,
        torch=torch.__version__,
        transformers=transformers.__version__,
        sgemm_gflops=round(sgemm_gflops(), 1),
    )
    benches = {"train": bench_train, "decode": bench_decode, "generate()": bench_generate, "group": bench_group}
    for name, bench in benches.items():
        if args.what in (name, "all"):
            load = os.getloadavg()[0]
            figures = {key: round(value, 4) for key, value in bench(shape, args.repeats).items()}
            peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
            print(json.dumps(dict(bench=name, **common, **figures, peak_rss_mb=peak_mb, load_before=load)), flush=True)


if __name__ == "__main__":
    main()
