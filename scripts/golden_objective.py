"""Writes the reference numbers of the objective layer to crates/learn/tests/golden/objective.json, all in float64.

A case is a batch of rows, a spec, the loss, and dloss/dlogp for every token from PyTorch's autograd. The GRPO losses
(ppo_clip) come from TRL: `GRPOTrainer._compute_loss` is called unbound on a stub that carries only the settings it
reads, with the log-probs as a leaf tensor in place of the model. Each is compared with the formula below to 1e-6
(`trl_difference` is the larger of the differences of loss and gradient). reinforce and nll are not in TRL: their numbers
are the formula's. `source` says, for every case, where its numbers are from.

spec.surrogate    ppo_clip   -min(r A, clip(r, 1 - eps_low, 1 + eps_high) A), r = exp(logp - old)
                  reinforce  -A logp
                  nll        -logp
spec.aggregation  seq_mean_token_mean  mean over rows of the row's mean over unmasked tokens
                  token_mean           sum over unmasked tokens of the batch / their number
                  token_sum_norm       the same sum / (rows * l_max)
spec.kl           null or k3 with beta: beta (exp(ref - logp) - (ref - logp) - 1) is added to each token's loss

Masked tokens (mask 0) carry ordinary but meaningless numbers, and their gradient is exactly 0. Every row has an unmasked token.

Advantages: `grpo` is (R - mean) / (std + 1e-4) with the n - 1 standard deviation, and 0 for a group of one; `dr_grpo` is
R - mean; `rloo` is R minus the mean of the others. TRL computes its own inside a method that also generates, so these
come from plain PyTorch; a group whose rewards are all equal has advantage exactly 0.
"""

import json
from collections import defaultdict
from pathlib import Path
from types import SimpleNamespace

import torch

try:
    import trl
    from trl import GRPOTrainer
except ImportError:
    trl = None

OUT = Path(__file__).resolve().parent.parent / "crates/learn/tests/golden/objective.json"
SEED = 20261121
BETA = 0.04
TOLERANCE = 1e-6
FIELDS = ("logp", "old", "ref", "mask")


def clip(low, high, aggregation):
    return dict(surrogate="ppo_clip", eps_low=low, eps_high=high, aggregation=aggregation)


SPECS = {
    "grpo": clip(0.2, 0.2, "seq_mean_token_mean"),
    "grpo_asymmetric": clip(0.2, 0.28, "token_mean"),
    "dr_grpo": clip(0.2, 0.2, "token_sum_norm") | dict(l_max=16),
    "reinforce": dict(surrogate="reinforce", aggregation="token_mean"),
    "nll": dict(surrogate="nll", aggregation="token_mean"),
}
TRL_LOSS = {"seq_mean_token_mean": "grpo", "token_mean": "dapo", "token_sum_norm": "dr_grpo"}

# name: (row lengths, spread of logp - old, share of masked tokens)
BATCHES = {
    "mixed": ([7, 3, 11, 1, 5], 0.35, 0.2),
    "far": ([4, 9, 6], 1.5, 0.25),
    "on_policy": ([5, 8, 2, 3], 0.0, 0.15),
}


def random_batch(lengths, spread, masked, generator):
    """Rows with inputs of six decimals, so that the numbers in the file are the numbers that were used."""

    def rounded(tensor):
        return [round(x, 6) for x in tensor.tolist()]

    def normal(length):
        return torch.randn(length, generator=generator, dtype=torch.float64)

    def uniform(length):
        return torch.rand(length, generator=generator, dtype=torch.float64)

    rows = []
    for i, length in enumerate(lengths):
        logp = -0.05 - 3.0 * uniform(length)
        mask = (uniform(length) >= masked).long()
        mask[int(uniform(1) * length)] = 1
        # Signs alternate so that all four corners of the clip occur; one row has none.
        advantage = 0.0 if i == 3 else round((normal(1).abs().item() + 0.2) * (-1) ** i, 6)
        old = rounded(logp - spread * normal(length)) if spread else rounded(logp)
        ref = rounded(logp + 0.3 * normal(length))
        rows.append(dict(logp=rounded(logp), old=old, ref=ref, mask=mask.tolist(), advantage=advantage))
    return rows


def padded(rows):
    """The rows as [rows, longest] tensors; padding is masked."""
    width = max(len(row["logp"]) for row in rows)

    def stack(field):
        return torch.tensor([row[field] + [0] * (width - len(row[field])) for row in rows], dtype=torch.float64)

    advantage = torch.tensor([row["advantage"] for row in rows], dtype=torch.float64)
    return SimpleNamespace(**{field: stack(field) for field in FIELDS}, advantage=advantage)


def formula(spec, batch, logp):
    advantage = batch.advantage[:, None]
    if spec["surrogate"] == "ppo_clip":
        ratio = torch.exp(logp - batch.old)
        clipped = ratio.clamp(1 - spec["eps_low"], 1 + spec["eps_high"])
        token_loss = -torch.minimum(ratio * advantage, clipped * advantage)
    elif spec["surrogate"] == "reinforce":
        token_loss = -advantage * logp
    else:
        token_loss = -logp
    if spec["kl"]:
        gap = batch.ref - logp
        token_loss = token_loss + spec["kl"]["beta"] * (gap.exp() - gap - 1)

    kept = token_loss.where(batch.mask.bool(), 0.0)
    if spec["aggregation"] == "seq_mean_token_mean":
        return (kept.sum(1) / batch.mask.sum(1)).mean()
    if spec["aggregation"] == "token_mean":
        return kept.sum() / batch.mask.sum()
    return kept.sum() / (len(kept) * spec["l_max"])


def trl_loss(spec, batch, logp):
    """The same loss by TRL's own code; prompts are one token long and no token id is ever looked at."""
    ids = torch.zeros_like(logp, dtype=torch.long)
    prompt = ids[:, :1]
    stub = SimpleNamespace(
        beta=spec["kl"]["beta"] if spec["kl"] else 0.0,
        loss_type=TRL_LOSS[spec["aggregation"]],
        importance_sampling_level="token",
        epsilon_low=spec["eps_low"],
        epsilon_high=spec["eps_high"],
        max_completion_length=spec.get("l_max"),
        top_entropy_quantile=1.0,
        off_policy_mask_threshold=None,
        use_vllm=False,
        vllm_importance_sampling_correction=False,
        aux_loss_enabled=False,
        _entropy_bonus_enabled=False,
        current_gradient_accumulation_steps=1,
        args=SimpleNamespace(delta=None, use_bias_correction_kl=False, steps_per_generation=1),
        model=SimpleNamespace(training=True),
        accelerator=SimpleNamespace(num_processes=1, gather=lambda x: x, reduce=lambda x, reduction: x),
        _metrics={"train": defaultdict(list)},
        _get_per_token_logps_and_entropies=lambda *args, **kwargs: (logp, torch.zeros_like(logp), None),
    )
    inputs = dict(
        prompt_ids=prompt,
        prompt_mask=torch.ones_like(prompt),
        completion_ids=ids,
        completion_mask=batch.mask.long(),
        advantages=batch.advantage,
        old_per_token_logps=batch.old,
        ref_per_token_logps=batch.ref,
        num_items_in_batch=batch.mask.sum(),
    )
    return GRPOTrainer._compute_loss(stub, None, inputs)


def loss_and_gradient(function, spec, batch):
    leaf = batch.logp.clone().requires_grad_()
    loss = function(spec, batch, leaf)
    loss.backward()
    assert loss.dtype == leaf.grad.dtype == torch.float64
    return loss.item(), leaf.grad


def make_case(name, spec, rows):
    batch = padded(rows)
    loss, gradient = loss_and_gradient(formula, spec, batch)
    source = dict(source="formula")
    if spec["surrogate"] == "ppo_clip" and trl:
        trl_value, trl_gradient = loss_and_gradient(trl_loss, spec, batch)
        difference = max(abs(trl_value - loss), (trl_gradient - gradient).abs().max().item())
        assert difference <= TOLERANCE, f"{name}: the formula and TRL differ by {difference}"
        loss, gradient = trl_value, trl_gradient
        source = dict(source="trl", trl_difference=float(f"{difference:.1g}"))
    grad = [row[: len(r["logp"])] + 0.0 for row, r in zip(gradient, rows)]  # + 0.0 turns -0.0 into 0.0
    return dict(name=name, **source, spec=spec, rows=rows, loss=loss, grad=[row.tolist() for row in grad])


def make_cases(generator):
    batches = {name: random_batch(*shape, generator) for name, shape in BATCHES.items()}
    kls = {"": None, "_kl": dict(estimator="k3", beta=BETA)}
    return [
        make_case(f"{spec_name}{suffix}/{batch_name}", spec | dict(kl=kl), rows)
        for spec_name, spec in SPECS.items()
        for suffix, kl in kls.items()
        for batch_name, rows in batches.items()
    ]


def advantages(method, rewards):
    centred = rewards - rewards.mean()
    if rewards.max() == rewards.min():
        return torch.zeros_like(rewards)
    if method == "grpo":
        return centred / (rewards.std(correction=1) + 1e-4)
    if method == "dr_grpo":
        return centred
    return rewards - (rewards.sum() - rewards) / (len(rewards) - 1)


def make_advantages(generator):
    uniform = torch.rand(6, generator=generator, dtype=torch.float64)
    groups = [
        [1.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0],
        [0.0, 0.0, 0.0, 1.0],
        [0.0, 0.0, 0.0],
        [0.1, 0.1, 0.1],
        [0.5, 0.25, 1.0, 0.125, -1.0],
        [2.0, 3.0],
        [round(x, 6) for x in uniform.tolist()],
        [0.7],
    ]
    cases = []
    for method in ("grpo", "dr_grpo", "rloo"):
        # A leave-one-out mean needs another sample.
        kept = [group for group in groups if len(group) > 1 or method != "rloo"]
        values = [advantages(method, torch.tensor(group, dtype=torch.float64)).tolist() for group in kept]
        eps = dict(eps=1e-4) if method == "grpo" else {}
        cases.append(dict(method=method, source="formula", **eps, groups=kept, advantages=values))
    return cases


def corners(cases):
    """How many unmasked tokens of the clipped cases lie in each corner of the clip: every one must occur."""
    count = defaultdict(int)
    for case in cases:
        spec = case["spec"]
        if spec["surrogate"] != "ppo_clip":
            continue
        for row in case["rows"]:
            ratios = torch.exp(torch.tensor(row["logp"]) - torch.tensor(row["old"])).tolist()
            for ratio, mask in zip(ratios, row["mask"]):
                side = "low" if ratio < 1 - spec["eps_low"] else "high" if ratio > 1 + spec["eps_high"] else "inside"
                sign = "zero" if row["advantage"] == 0 else "+" if row["advantage"] > 0 else "-"
                count[side, sign] += mask
    assert all(count[side, sign] for side in ("low", "high", "inside") for sign in "+-"), count
    return dict(count)


def main():
    generator = torch.Generator().manual_seed(SEED)
    cases = make_cases(generator)
    golden = dict(
        source=f"torch {torch.__version__.split('+')[0]}, trl {trl.__version__ if trl else 'absent'}, float64",
        cases=cases,
        advantages=make_advantages(generator),
    )
    OUT.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(golden, separators=(",", ":"))
    for start in ('{"name"', '{"method"'):  # one case a line
        text = text.replace(start, "\n" + start)
    OUT.write_text(text + "\n")
    by_trl = [case for case in cases if case["source"] == "trl"]
    worst = max((case["trl_difference"] for case in by_trl), default=None)
    print(f"{len(cases)} cases, {len(by_trl)} by TRL (largest difference {worst}), {OUT.stat().st_size} bytes")
    print("unmasked tokens by side of the clip and sign of the advantage:", corners(cases))


if __name__ == "__main__":
    main()
