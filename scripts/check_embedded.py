"""Checks that a model folder means the same to transformers as to axiom.

    axiom score ... > scored.jsonl
    check_embedded.py assets/nano scored.jsonl

The folder holds config.json, model.safetensors and tokenizer.json, or a PEFT adapter with adapter_config.json, whose
base model is where that says. Each line of the file is {"tokens", "logprobs",
"text"}. Two things are checked: the tokenizer turns `text` into exactly `tokens`, and the log-probs agree within
--tolerance. Log-probs may cover every token but the first (as many as tokens, less one), a completion at the end
(fewer), or every token with a null for the first. Exits with 1 where anything differs.
"""

import argparse
import json
import os
import sys
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedTokenizerFast


def load_tokenizer(folder):
    """As a user would load it, and the tokenizer file alone: AutoTokenizer may replace parts by those of the model's type."""
    return {
        "AutoTokenizer": AutoTokenizer.from_pretrained(folder),
        "tokenizer.json": PreTrainedTokenizerFast(tokenizer_file=str(folder / "tokenizer.json")),
    }


def reference_logprobs(model, tokens):
    """Log-probs of the tokens from the second on."""
    ids = torch.tensor(tokens)
    with torch.no_grad():
        logprobs = model(input_ids=ids[None], use_cache=False).logits[0, :-1].float().log_softmax(-1)
    return logprobs.gather(-1, ids[1:, None]).squeeze(-1)


def largest_difference(model, tokens, logprobs):
    logprobs = logprobs[1:] if logprobs and logprobs[0] is None else logprobs
    if not logprobs:
        raise ValueError("no log-probs")
    if len(logprobs) >= len(tokens):
        raise ValueError(f"{len(logprobs)} log-probs for {len(tokens)} tokens; the first token has none")
    reference = reference_logprobs(model, tokens)[-len(logprobs) :]
    return (reference - torch.tensor(logprobs)).abs().max().item()


def first_difference(expected, found):
    at = next((i for i, (a, b) in enumerate(zip(expected, found)) if a != b), min(len(expected), len(found)))
    return f"from token {at} on: {expected[at : at + 5]} in the file, {found[at : at + 5]} by transformers"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("scored", type=Path)
    parser.add_argument("--tolerance", type=float, default=1e-4)
    args = parser.parse_args()

    loader = AutoModelForCausalLM
    if (args.folder / "adapter_config.json").exists():
        from peft import AutoPeftModelForCausalLM as loader
    model = loader.from_pretrained(args.folder, dtype=torch.float32).eval()
    tokenizers = load_tokenizer(args.folder)
    lines = [(n, json.loads(text)) for n, text in enumerate(args.scored.read_text().splitlines(), 1) if text.strip()]
    worst, faults = 0.0, 0

    def fault(number, message):
        nonlocal faults
        faults += 1
        print(f"line {number}: {message}")

    for number, line in lines:
        for name, tokenizer in tokenizers.items():
            found = tokenizer(line["text"], add_special_tokens=False)["input_ids"]
            if found != line["tokens"]:
                fault(number, f"{name} differs {first_difference(line['tokens'], found)}")
        try:
            difference = largest_difference(model, line["tokens"], line["logprobs"])
        except ValueError as error:
            fault(number, error)
            continue
        worst = max(worst, difference)
        if not difference <= args.tolerance:  # a NaN is a fault too
            fault(number, f"log-probs differ by {difference:.2e}")

    print(f"{len(lines)} lines, {faults} faults, largest log-prob difference {worst:.2e}")
    sys.exit(1 if faults or not lines else 0)


if __name__ == "__main__":
    main()
