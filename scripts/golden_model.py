"""Writes the reference numbers that pin our model, its backward pass and AdamW to transformers and PyTorch.

For each case a tiny random checkpoint is written to <crates/model/tests/golden>/<case>/ as transformers writes one
(config.json, model.safetensors), and beside it:

golden.json         the two token sequences, the weights of the probe loss, log-probs of the next tokens at two
                    temperatures, the ten losses and gradient norms, every setting, and how far a float64 run lies off
golden.safetensors  logits.<sequence>, grad.<parameter>, final.<parameter>

Conventions. Sequences are run one at a time, without padding. Entry t of `logprobs` belongs to token t + 1 and comes from
logits row t. The completion is everything after the first PROMPT tokens.

probe loss   L = sum over both sequences and their completion tokens of w * logprob at temperature 1, not averaged;
             `weights[sequence][i]` belongs to token PROMPT + i, and `grad.*` is dL/dparameter at the initial weights
training     ten steps of AdamW on the mean NLL over the completion tokens of both sequences together; `losses[i]` and
             `grad_norms[i]` (before clipping) are taken before update i, `final.*` after the tenth. Clipping is PyTorch's:
             gradients are multiplied by min(1, clip / (norm + 1e-6)). Tensors with fewer than two dimensions are not decayed.

Everything runs in float32 on one thread. `float64_deviation` is the largest absolute difference to the same
computation in float64 (RMS norm and rotary angles stay float32 inside transformers): a floor for test tolerances.
"""

import argparse
import json
from pathlib import Path

import torch
import transformers
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM, LlamaConfig, Qwen2Config, Qwen3Config

GOLDEN = Path(__file__).resolve().parent.parent / "crates/model/tests/golden"
SMALL = dict(
    vocab_size=96,
    hidden_size=32,
    intermediate_size=48,
    num_hidden_layers=2,
    num_attention_heads=4,
    num_key_value_heads=2,
    max_position_embeddings=64,
    rms_norm_eps=1e-6,
)
# The untied case differs in its rotary base too, and spells it as checkpoints from before transformers 5 do.
CASES = {
    "qwen2-tiny": lambda: Qwen2Config(**SMALL, rope_theta=1e4, tie_word_embeddings=True),
    "qwen2-untied": lambda: Qwen2Config(**SMALL, rope_theta=1e6, tie_word_embeddings=False),
    "qwen3-tiny": lambda: Qwen3Config(**SMALL, head_dim=12, rope_theta=1e4, tie_word_embeddings=True),
    "llama-tiny": lambda: LlamaConfig(**SMALL, rope_theta=1e4, tie_word_embeddings=False),
}
DEFAULT_CASES = ["qwen2-tiny", "qwen2-untied"]
OLD_STYLE_CONFIG = ["qwen2-untied"]

SEED = 20261121
LENGTHS = [13, 7]
PROMPT = 4
TEMPERATURES = [1.0, 0.7]
STEPS = 10
ADAMW = dict(lr=1e-3, betas=(0.9, 0.98), eps=1e-8)
WEIGHT_DECAY = 0.05
CLIP = 1.0


def random_model(config):
    """Every parameter is random: matrices and biases around 0, norm gains around 1."""
    model = AutoModelForCausalLM.from_config(config, attn_implementation="eager").float().eval()
    generator = torch.Generator().manual_seed(SEED)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            centre = 1.0 if "norm" in name else 0.0
            parameter.copy_(centre + 0.2 * torch.randn(parameter.shape, generator=generator))
    return model


def next_token_logprobs(model, ids, temperature=1.0):
    """Logits of a sequence, and the log-probs of its tokens from the second on."""
    logits = model(input_ids=ids.unsqueeze(0), use_cache=False).logits[0]
    logprobs = (logits[:-1] / temperature).log_softmax(-1)
    return logits, logprobs.gather(-1, ids[1:, None]).squeeze(-1)


def completion_logprobs(model, sequences):
    return [next_token_logprobs(model, ids)[1][PROMPT - 1 :] for ids in sequences]


def forward_numbers(model, sequences):
    numbers = {}
    with torch.no_grad():
        for i, ids in enumerate(sequences):
            numbers[f"logits.{i}"] = next_token_logprobs(model, ids)[0]
            for temperature in TEMPERATURES:
                numbers[f"logprobs.{temperature}.{i}"] = next_token_logprobs(model, ids, temperature)[1]
    return numbers


def probe_gradients(model, sequences, weights):
    model.zero_grad()
    terms = zip(weights, completion_logprobs(model, sequences))
    loss = sum((weight * logprob).sum() for weight, logprob in terms)
    loss.backward()
    gradients = {f"grad.{name}": p.grad.clone() for name, p in model.named_parameters()}
    return {"probe_loss": loss.detach(), **gradients}


def train(model, sequences):
    groups = [
        dict(params=[p for p in model.parameters() if p.ndim >= 2], weight_decay=WEIGHT_DECAY),
        dict(params=[p for p in model.parameters() if p.ndim < 2], weight_decay=0.0),
    ]
    optimizer = torch.optim.AdamW(groups, **ADAMW, foreach=False)
    losses, norms = [], []
    for _ in range(STEPS):
        optimizer.zero_grad()
        loss = -torch.cat(completion_logprobs(model, sequences)).mean()
        loss.backward()
        norms.append(torch.nn.utils.clip_grad_norm_(model.parameters(), CLIP, foreach=False).detach())
        losses.append(loss.detach())
        optimizer.step()
    final = {f"final.{name}": p.detach().clone() for name, p in model.named_parameters()}
    return {"losses": torch.stack(losses), "grad_norms": torch.stack(norms), **final}


def all_numbers(model, sequences, weights):
    return {
        **forward_numbers(model, sequences),
        **probe_gradients(model, sequences, weights),
        **train(model, sequences),
    }


def deviation(numbers, reference):
    """The largest absolute difference of each kind of number."""
    result = {}
    for name, value in numbers.items():
        kind = name.split(".")[0]
        difference = (value.double() - reference[name]).abs().max().item()
        result[kind] = float(f"{max(result.get(kind, 0.0), difference):.2g}")
    return result


def digits(tensor):
    """Nine significant digits determine a float32."""
    return [float(f"{x:.9g}") for x in tensor.tolist()]


def old_style(config_file):
    """Moves the rotary base to the top level, where checkpoints written before transformers 5 have it."""
    config = json.loads(config_file.read_text())
    config["rope_theta"] = config.pop("rope_parameters")["rope_theta"]
    config["torch_dtype"] = config.pop("dtype")
    config_file.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")


def write_case(name, folder):
    model = random_model(CASES[name]())
    folder.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(folder)
    (folder / "generation_config.json").unlink(missing_ok=True)
    if name in OLD_STYLE_CONFIG:
        old_style(folder / "config.json")

    # What follows runs on what was written, so the files and the numbers cannot disagree.
    def load(dtype):
        return AutoModelForCausalLM.from_pretrained(folder, dtype=dtype, attn_implementation="eager").eval()

    generator = torch.Generator().manual_seed(SEED + 1)
    vocab = model.config.vocab_size
    sequences = [torch.randint(vocab, (length,), generator=generator) for length in LENGTHS]
    weights = [torch.randn(length - PROMPT, generator=generator) for length in LENGTHS]

    numbers = all_numbers(load(torch.float32), sequences, weights)
    reference = all_numbers(load(torch.float64), sequences, [w.double() for w in weights])
    written = {n: p for n, p in load(torch.float32).named_parameters()}
    assert all(torch.equal(p, written[n]) for n, p in model.named_parameters()), "the checkpoint did not survive writing"

    golden = dict(
        case=name,
        source=f"torch {torch.__version__.split('+')[0]}, transformers {transformers.__version__}, float32, one thread",
        prompt=PROMPT,
        sequences=[ids.tolist() for ids in sequences],
        weights=[digits(w) for w in weights],
        probe_loss=digits(numbers["probe_loss"].reshape(1))[0],
        logprobs=[
            dict(temperature=t, rows=[digits(numbers[f"logprobs.{t}.{i}"]) for i in range(len(sequences))])
            for t in TEMPERATURES
        ],
        training=dict(
            steps=STEPS,
            **ADAMW,
            weight_decay=WEIGHT_DECAY,
            clip=CLIP,
            losses=digits(numbers["losses"]),
            grad_norms=digits(numbers["grad_norms"]),
        ),
        float64_deviation=deviation(numbers, reference),
    )
    (folder / "golden.json").write_text(json.dumps(golden, indent=1) + "\n")
    arrays = {n: v.contiguous() for n, v in numbers.items() if n.split(".")[0] in ("logits", "grad", "final")}
    save_file(arrays, folder / "golden.safetensors")
    for file in folder.iterdir():
        file.chmod(0o644)
    size = sum(file.stat().st_size for file in folder.iterdir())
    print(f"{name}: {size} bytes, losses {golden['training']['losses'][0]:.4f} -> {golden['training']['losses'][-1]:.4f}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", nargs="*", metavar="case", help=f"any of {', '.join(CASES)}")
    parser.add_argument("--out", type=Path, default=GOLDEN)
    args = parser.parse_args()
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    transformers.utils.logging.disable_progress_bar()
    for name in args.cases or DEFAULT_CASES:
        write_case(name, args.out / name)


if __name__ == "__main__":
    main()
