"""Writes the reference numbers that pin our model, its backward pass and AdamW to transformers and PyTorch.

For each case a tiny random checkpoint is written to <crates/model/tests/golden>/<case>/ as transformers writes one
(config.json, model.safetensors), and beside it:

golden.json         the two token sequences, the weights of the probe loss, log-probs of the next tokens at two
                    temperatures, the ten losses and gradient norms, every setting, and how far a float64 run lies off
golden.safetensors  logits.<sequence>, grad.<parameter>, final.<parameter>

The cases of SMALLER are there for families, types of storage and rotary scalings. They have no training and no `final.*`,
one sequence long enough to reach the scaled frequencies, and `greedy`: what transformers' generate() writes after each of
twenty prompts, 200 tokens, none ending early. Their weights are rounded to the checkpoint's type; the numbers are float32.

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
SMALLER = dict(
    vocab_size=48,
    hidden_size=16,
    intermediate_size=24,
    num_hidden_layers=2,
    num_attention_heads=4,
    num_key_value_heads=2,
    max_position_embeddings=256,
    rms_norm_eps=1e-6,
)


def rope(kind, theta=1e4, **settings):
    return dict(rope_type=kind, rope_theta=theta, **settings)


LLAMA3 = rope("llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=64)
YARN = rope("yarn", factor=4.0, original_max_position_embeddings=64)
# The untied case differs in its rotary base too, and spells it as checkpoints from before transformers 5 do.
CASES = {
    "qwen2-tiny": lambda: Qwen2Config(**SMALL, rope_theta=1e4, tie_word_embeddings=True),
    "qwen2-untied": lambda: Qwen2Config(**SMALL, rope_theta=1e6, tie_word_embeddings=False),
    "qwen2-dynamic-bf16": lambda: Qwen2Config(
        **SMALLER, tie_word_embeddings=True, dtype="bfloat16", rope_parameters=rope("dynamic", factor=2.0)
    ),
    "qwen3-bf16": lambda: Qwen3Config(**SMALLER, head_dim=10, tie_word_embeddings=True, dtype="bfloat16"),
    "qwen3-yarn": lambda: Qwen3Config(
        **SMALLER, head_dim=8, attention_bias=True, tie_word_embeddings=False, rope_parameters=YARN
    ),
    "llama-llama3-f16": lambda: LlamaConfig(
        **SMALLER, head_dim=8, rope_parameters=LLAMA3, dtype="float16", eos_token_id=[46, 47], bos_token_id=45
    ),
    "llama-linear-sharded": lambda: LlamaConfig(
        **SMALLER,
        attention_bias=True,
        mlp_bias=True,
        tie_word_embeddings=True,
        rope_parameters=rope("linear", theta=1e5, factor=4.0),
    ),
}
OLD_STYLE_CONFIG = ["qwen2-untied", "llama-linear-sharded"]
SHARD_BYTES = {"llama-linear-sharded": 6000}
GREEDY_PROMPTS = 20
GREEDY_TOKENS = 200

SEED = 20261121
LENGTHS = [13, 7]
SMALL_LENGTHS = [120, 9]
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


def all_numbers(model, sequences, weights, small):
    return {
        **forward_numbers(model, sequences),
        **probe_gradients(model, sequences, weights),
        **({} if small else train(model, sequences)),
    }


def generate(model, prompt):
    """The tokens that generate() writes after a prompt, and the smallest lead of a chosen token over the next best."""
    out = model.generate(
        prompt.unsqueeze(0),
        attention_mask=torch.ones(1, len(prompt), dtype=torch.long),
        max_new_tokens=GREEDY_TOKENS,
        do_sample=False,
        return_dict_in_generate=True,
        output_logits=True,
        pad_token_id=0,
    )
    top = torch.stack([step[0].float().topk(2).values for step in out.logits])
    return out.sequences[0, len(prompt) :].tolist(), (top[:, 0] - top[:, 1]).min().item()


def greedy(model, generator):
    """Prompts and what is written after them. Prompts after which rounding could turn a choice are left out."""
    model.generation_config.eos_token_id = None
    prompts, completions = [], []
    while len(prompts) < GREEDY_PROMPTS:
        prompt = torch.randint(model.config.vocab_size, (3 + len(prompts),), generator=generator)
        completion, lead = generate(model, prompt)
        if lead > 1e-3:
            prompts.append(prompt.tolist())
            completions.append(completion)
    return dict(prompts=prompts, completions=completions)


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
    rope_parameters = config.pop("rope_parameters")
    config["rope_theta"] = rope_parameters.pop("rope_theta")
    kind = rope_parameters.pop("rope_type")
    if kind != "default":
        config["rope_scaling"] = dict(type=kind, **rope_parameters)
    config["torch_dtype"] = config.pop("dtype")
    config_file.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")


def write_case(name, folder):
    config = CASES[name]()
    small = config.vocab_size == SMALLER["vocab_size"]
    model = random_model(config)
    if config.dtype is not None:
        model = model.to(config.dtype)
    folder.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(folder, max_shard_size=SHARD_BYTES.get(name, "1GB"))
    (folder / "generation_config.json").unlink(missing_ok=True)
    if name in OLD_STYLE_CONFIG:
        old_style(folder / "config.json")

    # What follows runs on what was written, so the files and the numbers cannot disagree.
    def load(dtype):
        return AutoModelForCausalLM.from_pretrained(folder, dtype=dtype, attn_implementation="eager").eval()

    generator = torch.Generator().manual_seed(SEED + 1)
    vocab = model.config.vocab_size
    lengths = SMALL_LENGTHS if small else LENGTHS
    sequences = [torch.randint(vocab, (length,), generator=generator) for length in lengths]
    weights = [torch.randn(length - PROMPT, generator=generator) for length in lengths]

    numbers = all_numbers(load(torch.float32), sequences, weights, small)
    reference = all_numbers(load(torch.float64), sequences, [w.double() for w in weights], small)
    written = {n: p for n, p in load(torch.float32).named_parameters()}
    whole = all(torch.equal(p.float(), written[n]) for n, p in model.named_parameters())
    assert whole, "the checkpoint did not survive writing"

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
        float64_deviation=deviation(numbers, reference),
    )
    if small:
        golden["greedy"] = greedy(load(torch.float32), generator)
    else:
        golden["training"] = dict(
            steps=STEPS,
            **ADAMW,
            weight_decay=WEIGHT_DECAY,
            clip=CLIP,
            losses=digits(numbers["losses"]),
            grad_norms=digits(numbers["grad_norms"]),
        )
    (folder / "golden.json").write_text(json.dumps(golden, indent=None if small else 1) + "\n")
    arrays = {n: v.contiguous() for n, v in numbers.items() if n.split(".")[0] in ("logits", "grad", "final")}
    save_file(arrays, folder / "golden.safetensors")
    for file in folder.iterdir():
        file.chmod(0o644)
    size = sum(file.stat().st_size for file in folder.iterdir())
    print(f"{name}: {size} bytes, float64 deviation {golden['float64_deviation']}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", nargs="*", metavar="case", help=f"any of {', '.join(CASES)}")
    parser.add_argument("--out", type=Path, default=GOLDEN)
    args = parser.parse_args()
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    transformers.utils.logging.disable_progress_bar()
    for name in args.cases or CASES:
        write_case(name, args.out / name)


if __name__ == "__main__":
    main()
