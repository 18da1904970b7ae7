"""Writes the reference numbers of the objective layer to crates/learn/tests/golden/objective.json, all in float64.

    pip install torch transformers trl numpy
    pip download verl --no-deps && unzip verl-*.whl -d VERL
    python scripts/golden_objective.py VERL

A case is a batch of rows (by name), a spec, the loss, and dloss/dlogp for every token from autograd. The numbers are those of the
reference that `source` names:

trl      `GRPOTrainer._compute_loss` and `RLOOTrainer._compute_loss`, called unbound on a stub that carries only the
         settings they read, with the log-probs as a leaf tensor in place of the model; `DPOTrainer._compute_loss` likewise
         on a model that returns the log-probs.
verl     functions of verl/trainer/ppo/core_algos.py, read from the wheel with its heavy imports (Ray, Hydra, tensordict)
         replaced by empty modules. Its masked means add 1e-8 to their denominators.
formula  nll and reinforce, which neither has: PyTorch on the formula.

Every case of TRL and verl is written as the spec of `learn::objective`, in words: see `spec` in the test that reads it.
Masked tokens (mask 0) carry ordinary but meaningless numbers, and their gradient is 0. Every row has an unmasked token.
"""

import importlib.machinery
import importlib.util
import json
import sys
import types
from collections import defaultdict
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch
import trl
from trl import DPOTrainer, GRPOTrainer, RLOOTrainer

OUT = Path(__file__).resolve().parent.parent / "crates/learn/tests/golden/objective.json"
SEED = 20261121
L_MAX = 16
FIELDS = ("logp", "old", "sampling", "ref", "entropy", "mask")
AGGREGATION = {
    "token_mean": "token-mean",
    "seq_mean_token_mean": "seq-mean-token-mean",
    "seq_mean_token_sum": "seq-mean-token-sum",
    "token_sum_norm": "seq-mean-token-sum-norm",
}

# name: (row lengths, spread of logp - old, share of masked tokens)
BATCHES = {
    "mixed": ([7, 3, 11, 1, 5], 0.35, 0.2),
    "far": ([4, 9, 6], 1.5, 0.25),
    "on_policy": ([5, 8, 2, 3], 0.0, 0.15),
}


# ---------------------------------------------------------------------------------------------- verl


class Stub(types.ModuleType):
    """A module in which every name is an empty class."""

    __path__ = []

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        value = type(name, (), {})
        setattr(self, name, value)
        return value


def load(name, path):
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def load_verl(folder):
    """verl's core_algos and the two helpers it computes with; everything else it imports is a stub."""
    root = Path(folder) / "verl"
    stubs = (
        "omegaconf tensordict verl verl.utils verl.utils.device verl.utils.import_utils verl.trainer "
        "verl.trainer.config verl.trainer.ppo verl.workers verl.workers.config"
    )
    for name in stubs.split():
        if name.startswith("verl") or importlib.util.find_spec(name) is None:
            sys.modules[name] = Stub(name)
            sys.modules[name].__spec__ = importlib.machinery.ModuleSpec(name, None)
            parent, _, child = name.rpartition(".")
            if parent:
                setattr(sys.modules[parent], child, sys.modules[name])
    sys.modules["verl.utils.device"].get_device_name = lambda: "cpu"
    sys.modules["verl.utils.import_utils"].deprecated = lambda *a, **k: lambda function: function
    functional = load("verl.utils.torch_functional", root / "utils/torch_functional.py")
    sys.modules["verl.utils"].torch_functional = functional
    groups = load("verl.utils.groupwise", root / "utils/groupwise.py")
    sys.modules["verl.utils"].as_torch_index = groups.as_torch_index
    sys.modules["verl.utils"].group_mean_std = groups.group_mean_std
    return load("verl.trainer.ppo.core_algos", root / "trainer/ppo/core_algos.py")


class VerlConfig(dict):
    """What core_algos reads of a configuration: fields, and `get`."""

    __getattr__ = dict.get


def verl_config(verl, **settings):
    # core_algos asks for an ActorConfig by type, which is a stub here.
    actor = type("Actor", (VerlConfig, verl.ActorConfig), {})
    return actor(settings)


def verl_loss(verl, name, spec, batch, leaf, **settings):
    config = verl_config(
        verl,
        clip_ratio=0.2,
        clip_ratio_low=spec.get("low"),
        clip_ratio_high=spec.get("high"),
        clip_ratio_c=spec.get("cap") or 1e30,
        global_batch_info={"loss_scale_factor": L_MAX} if spec["aggregation"] == "token_sum_norm" else {},
        policy_loss=SimpleNamespace(
            clip_cov_ratio=1.0, clip_cov_lb=0.05, clip_cov_ub=0.6, kl_cov_ratio=0.15, ppo_kl_coef=0.7
        ),
        **settings,
    )
    advantage = batch.advantage[:, None].expand_as(leaf).clone()
    weights = verl_weights(spec["correction"], batch) if spec["correction"] else None
    function = verl.get_policy_loss_fn(name)
    loss, _ = function(batch.old, leaf, advantage, batch.mask, AGGREGATION[spec["aggregation"]], config, weights)
    if spec["kl"]:
        name = spec["kl"]["estimator"] + ("+" if spec["kl"]["gradient"] == "k2" else "")
        kl = verl.kl_penalty(leaf, batch.ref, name)
        loss = loss + spec["kl"]["beta"] * verl.agg_loss(kl, batch.mask, AGGREGATION[spec["aggregation"]])
    return loss


def verl_weights(correction, batch):
    """Truncation of token weights, as verl/trainer/ppo/rollout_corr_helper.py has it."""
    assert correction["level"] == "token" and correction["act"] == "truncate"
    return torch.exp(batch.old - batch.sampling).clamp(max=correction["max"])


# ----------------------------------------------------------------------------------------------- TRL


def trl_weights(correction, batch):
    """`GRPOTrainer._generate_and_score_completions`, between "importance_sampling_ratio" and "clip_max"."""
    difference = (batch.old - batch.sampling) * batch.mask
    if correction["level"] == "sequence":
        difference = difference.sum(-1, keepdim=True)
    weights = torch.exp(difference)
    low, high = correction["min"], correction["max"]
    if correction["act"] == "truncate":
        return weights.clamp(low, high)
    return weights.masked_fill((weights < low) | (weights > high), 0.0)


TRL_LOSS = {"seq_mean_token_mean": "grpo", "token_mean": "dapo", "token_sum_norm": "dr_grpo", "seq_mean_token_sum": "luspo"}


def trl_grpo(spec, batch, leaf, entropy):
    """Prompts are one token long and no token id is ever looked at."""
    kind = spec["surrogate"]
    loss_type = kind if kind in ("cispo", "sapo") else TRL_LOSS[spec["aggregation"]]
    ids = torch.zeros_like(leaf, dtype=torch.long)
    prompt = ids[:, :1]
    kl, keep = spec["kl"], spec["keep"]
    accelerator = SimpleNamespace(
        num_processes=1,
        gather=lambda x: x,
        reduce=lambda x, reduction: x,
        pad_across_processes=lambda x, **k: x,
        sync_gradients=False,
    )
    stub = SimpleNamespace(
        beta=kl["beta"] if kl else 0.0,
        loss_type=loss_type,
        importance_sampling_level=spec["ratio"],
        epsilon_low=spec.get("low"),
        epsilon_high=spec.get("max", spec.get("high")),
        max_completion_length=L_MAX,
        top_entropy_quantile=keep.get("top_entropy", 1.0),
        off_policy_mask_threshold=keep.get("off_policy_max"),
        use_vllm=bool(spec["correction"]),
        vllm_importance_sampling_correction=bool(spec["correction"]),
        aux_loss_enabled=False,
        _entropy_bonus_enabled=spec["entropy_coef"] != 0.0,
        entropy_coef=spec["entropy_coef"],
        use_adaptive_entropy=False,
        current_gradient_accumulation_steps=1,
        args=SimpleNamespace(
            delta=spec.get("cap"),
            use_bias_correction_kl=bool(kl and kl["corrected"]),
            steps_per_generation=1,
            sapo_temperature_pos=spec.get("positive"),
            sapo_temperature_neg=spec.get("negative"),
        ),
        model=SimpleNamespace(training=True),
        accelerator=accelerator,
        _metrics={"train": defaultdict(list)},
        _get_per_token_logps_and_entropies=lambda *args, **kwargs: (leaf, entropy, None),
        get_off_policy_mask=GRPOTrainer.get_off_policy_mask,
    )
    stub.get_high_entropy_mask = lambda *args: GRPOTrainer.get_high_entropy_mask(stub, *args)
    inputs = dict(
        prompt_ids=prompt,
        prompt_mask=torch.ones_like(prompt),
        completion_ids=ids,
        completion_mask=batch.mask.long(),
        advantages=batch.advantage,
        old_per_token_logps=batch.old,
        sampling_per_token_logps=batch.sampling,
        ref_per_token_logps=batch.ref,
        num_items_in_batch=batch.mask.sum(),
    )
    if spec["correction"]:
        inputs["importance_sampling_ratio"] = trl_weights(spec["correction"], batch)
    return GRPOTrainer._compute_loss(stub, None, inputs)


def trl_rloo(spec, batch, leaf, entropy):
    ids = torch.zeros_like(leaf, dtype=torch.long)
    stub = SimpleNamespace(
        epsilon_low=spec["low"],
        epsilon_high=spec["high"],
        aux_loss_enabled=False,
        model=SimpleNamespace(training=True),
        accelerator=SimpleNamespace(gather=lambda x: x, reduce=lambda x, reduction: x),
        _metrics={"train": defaultdict(list)},
        _get_per_token_logps_and_entropies=lambda *args, **kwargs: (leaf, entropy, None),
    )
    inputs = dict(
        prompt_ids=ids[:, :1],
        prompt_mask=ids[:, :1] + 1,
        completion_ids=ids,
        completion_mask=batch.mask.long(),
        advantages=batch.advantage,
        old_logps=(batch.old * batch.mask).sum(1),
    )
    return RLOOTrainer._compute_loss(stub, None, inputs)


# --------------------------------------------------------------------------------------------- cases


def spec_of(surrogate, aggregation, **others):
    base = dict(ratio="token", correction=None, keep={}, kl=None, kl_cov=None, entropy_coef=0.0)
    return base | surrogate | dict(aggregation=aggregation, l_max=L_MAX) | others


def clip(low, high, cap=None):
    return dict(surrogate="ppo_clip", low=low, high=high, cap=cap)


def kl(estimator, beta, gradient=None, corrected=False):
    return dict(estimator=estimator, beta=beta, gradient=gradient or estimator, corrected=corrected)


def correct(level, act, low, high):
    return dict(level=level, act=act, min=low, max=high)


TOKEN, MEAN, SUM, NORM = "token_mean", "seq_mean_token_mean", "seq_mean_token_sum", "token_sum_norm"

TRL_SPECS = {
    "grpo": spec_of(clip(0.2, 0.2), MEAN),
    "grpo_kl": spec_of(clip(0.2, 0.2), MEAN, kl=kl("k3", 0.04)),
    "grpo_kl_corrected": spec_of(clip(0.2, 0.2), MEAN, kl=kl("k3", 0.04, corrected=True)),
    "dapo": spec_of(clip(0.2, 0.28), TOKEN),
    "dapo_kl": spec_of(clip(0.2, 0.28), TOKEN, kl=kl("k3", 0.04)),
    "dr_grpo": spec_of(clip(0.2, 0.2), NORM),
    "delta": spec_of(clip(0.2, 0.2, cap=2.0), MEAN),
    "gspo": spec_of(clip(3e-4, 4e-4), MEAN, ratio="sequence"),
    "gspo_wide_kl_corrected": spec_of(clip(0.3, 0.4), MEAN, ratio="sequence", kl=kl("k3", 0.04, corrected=True)),
    "gspo_sum": spec_of(clip(0.3, 0.4), SUM, ratio="sequence", kl=kl("k3", 0.04)),
    "cispo": spec_of(dict(surrogate="cispo", min=0.0, max=1.3), TOKEN),
    "sapo": spec_of(dict(surrogate="sapo", positive=1.0, negative=1.25), MEAN),
    "tis_token": spec_of(clip(0.2, 0.2), TOKEN, correction=correct("token", "truncate", 0.0, 1.1)),
    "mis_token": spec_of(clip(0.2, 0.2), TOKEN, correction=correct("token", "mask", 0.9, 1.2), kl=kl("k3", 0.04)),
    "tis_sequence": spec_of(clip(0.2, 0.2), MEAN, correction=correct("sequence", "truncate", 0.5, 1.2)),
    "mis_sequence": spec_of(clip(0.2, 0.2), MEAN, correction=correct("sequence", "mask", 0.0, 1.2)),
    "off_policy_mask": spec_of(clip(0.2, 0.2), MEAN, keep=dict(off_policy_max=0.05), kl=kl("k3", 0.04)),
    "top_entropy": spec_of(clip(0.2, 0.28), TOKEN, keep=dict(top_entropy=0.33)),
    "entropy_bonus": spec_of(clip(0.2, 0.2), MEAN, entropy_coef=0.01),
    "entropy_bonus_top": spec_of(clip(0.2, 0.2), MEAN, entropy_coef=0.01, keep=dict(top_entropy=0.33)),
    "rloo": spec_of(clip(0.2, 0.2), MEAN, ratio="product"),
}
VERL_SPECS = {
    "vanilla_token_mean": ("vanilla", spec_of(clip(0.2, 0.28), TOKEN)),
    "vanilla_seq_mean_token_sum": ("vanilla", spec_of(clip(0.2, 0.2), SUM)),
    "vanilla_seq_mean_token_mean": ("vanilla", spec_of(clip(0.2, 0.2), MEAN)),
    "vanilla_token_sum_norm": ("vanilla", spec_of(clip(0.2, 0.2), NORM)),
    "dual_clip": ("vanilla", spec_of(clip(0.2, 0.2, cap=3.0), TOKEN)),
    "tis": ("vanilla", spec_of(clip(0.2, 0.2), TOKEN, correction=correct("token", "truncate", 0.0, 1.1))),
    "kl_k1": ("vanilla", spec_of(clip(0.2, 0.2), TOKEN, kl=kl("k1", 0.05))),
    "kl_k2": ("vanilla", spec_of(clip(0.2, 0.2), TOKEN, kl=kl("k2", 0.05))),
    "kl_k3": ("vanilla", spec_of(clip(0.2, 0.2), MEAN, kl=kl("k3", 0.05))),
    "kl_k1_straight": ("vanilla", spec_of(clip(0.2, 0.2), TOKEN, kl=kl("k1", 0.05, gradient="k2"))),
    "kl_k3_straight": ("vanilla", spec_of(clip(0.2, 0.2), TOKEN, kl=kl("k3", 0.05, gradient="k2"))),
    "gspo": ("gspo", spec_of(clip(3e-4, 4e-4), MEAN, ratio="sequence_token")),
    "gspo_token_mean": ("gspo", spec_of(clip(0.3, 0.4), TOKEN, ratio="sequence_token")),
    "cispo": ("cispo", spec_of(dict(surrogate="cispo", min=0.8, max=1.3), TOKEN)),
    "sapo": ("sapo", spec_of(dict(surrogate="sapo", positive=1.0, negative=1.25), MEAN)),
    "gpg": ("gpg", spec_of(dict(surrogate="reinforce"), TOKEN)),
    "dppo_tv": ("dppo_tv", spec_of(dict(surrogate="dppo", low=0.05, high=0.08, cap=2.0), TOKEN)),
    "clip_cov": ("clip_cov", spec_of(clip(0.2, 0.2), TOKEN, keep=dict(clip_cov=dict(share=1.0, low=0.05, high=0.6)))),
    "kl_cov": ("kl_cov", spec_of(clip(1e30, 1e30), TOKEN, kl_cov=dict(share=0.15, coef=0.7))),
}
FORMULA_SPECS = {
    "reinforce": spec_of(dict(surrogate="reinforce"), SUM),
    "nll": spec_of(dict(surrogate="nll"), TOKEN),
    "nll_kl": spec_of(dict(surrogate="nll"), TOKEN, kl=kl("k3", 0.04)),
}


def formula(spec, batch, leaf):
    loss = -leaf if spec["surrogate"] == "nll" else -batch.advantage[:, None] * leaf
    if spec["kl"]:
        gap = batch.ref - leaf
        loss = loss + spec["kl"]["beta"] * (gap.exp() - gap - 1)
    kept = loss.where(batch.mask.bool(), 0.0)
    return kept.sum() / (len(kept) if spec["aggregation"] == SUM else batch.mask.sum())


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
        old = logp - spread * normal(length)
        rows.append(
            dict(
                logp=rounded(logp),
                old=rounded(old),
                sampling=rounded(old + 0.15 * normal(length)),
                ref=rounded(logp + 0.3 * normal(length)),
                entropy=rounded(2.0 * uniform(length)),
                mask=mask.tolist(),
                advantage=advantage,
            )
        )
    return rows


def padded(rows):
    """The rows as [rows, longest] tensors; padding is masked."""
    width = max(len(row["logp"]) for row in rows)

    def stack(field):
        return torch.tensor([row[field] + [0] * (width - len(row[field])) for row in rows], dtype=torch.float64)

    advantage = torch.tensor([row["advantage"] for row in rows], dtype=torch.float64)
    return SimpleNamespace(**{field: stack(field) for field in FIELDS}, advantage=advantage)


def make_case(name, batch_name, source, spec, rows, function):
    batch = padded(rows)
    leaf = batch.logp.clone().requires_grad_()
    entropy = batch.entropy.clone().requires_grad_()
    loss = function(spec, batch, leaf, entropy)
    loss.backward()
    assert loss.dtype == leaf.grad.dtype == torch.float64

    def by_row(gradient):  # + 0.0 turns -0.0 into 0.0
        return [(row[: len(r["logp"])] + 0.0).tolist() for row, r in zip(gradient, rows)]

    case = dict(name=f"{name}/{batch_name}", batch=batch_name, source=source, spec=spec, loss=loss.item(), grad=by_row(leaf.grad))
    if spec["entropy_coef"]:
        case["grad_entropy"] = by_row(entropy.grad)
    return case


def make_cases(verl, generator):
    batches = {name: random_batch(*shape, generator) for name, shape in BATCHES.items()}
    cases = []
    for batch_name, rows in batches.items():
        for name, spec in TRL_SPECS.items():
            cases.append(make_case(name, batch_name, "trl", spec, rows, trl_rloo if name == "rloo" else trl_grpo))
        for name, (loss, spec) in VERL_SPECS.items():

            def by_verl(spec, batch, leaf, entropy, loss=loss):
                taus = dict(tau_pos=spec.get("positive"), tau_neg=spec.get("negative"))
                if loss == "cispo":
                    spec = spec | dict(low=1 - spec["min"], high=spec["max"] - 1)
                return verl_loss(verl, loss, spec, batch, leaf, **taus)

            cases.append(make_case(name, batch_name, "verl", spec, rows, by_verl))
        for name, spec in FORMULA_SPECS.items():
            by_formula = lambda spec, batch, leaf, entropy: formula(spec, batch, leaf)  # noqa: E731
            cases.append(make_case(name, batch_name, "formula", spec, rows, by_formula))
    return batches, cases


# ---------------------------------------------------------------------------------------- advantages


def make_advantages(verl, generator):
    """verl's estimators on outcomes of three prompts; TRL computes its own inside a method that also generates, so its
    two ways of scaling are plain PyTorch with its constant."""
    lengths = [1, 3, 2, 4, 2, 2, 5, 1, 3]
    groups = [0, 0, 0, 1, 1, 2, 2, 2, 2]
    kinds = [0, 1, 0, 1, 0, 0, 1, 1, 0]
    rewards = [1.0, 0.0, 0.25, 1.0, -0.5, 0.0, 1.0, 0.0, 0.5]
    penalty = [[round(x, 6) for x in (0.05 * torch.rand(n, generator=generator)).tolist()] for n in lengths]
    width = max(lengths)
    mask = torch.tensor([[float(t < n) for t in range(width)] for n in lengths], dtype=torch.float64)

    def token_rewards(paid):
        table = torch.zeros(len(lengths), width, dtype=torch.float64)
        for i, n in enumerate(lengths):
            table[i, n - 1] = rewards[i]
            if paid:
                table[i, :n] -= torch.tensor(penalty[i], dtype=torch.float64)
        return table

    index = np.array(groups)
    gamma = lambda g: VerlConfig(gamma=g)  # noqa: E731
    outcome = token_rewards(False)
    found = {
        "grpo": verl.compute_grpo_outcome_advantage(outcome.clone(), mask, index, epsilon=1e-6)[0],
        "dr_grpo": verl.compute_grpo_outcome_advantage(outcome.clone(), mask, index, norm_adv_by_std_in_grpo=False)[0],
        "rloo": verl.compute_rloo_outcome_advantage(outcome.clone(), mask, index)[0],
        "opo": verl.compute_opo_outcome_advantage(outcome.clone(), mask, index)[0],
        "reinforce_pp_baseline": verl.compute_reinforce_plus_plus_baseline_outcome_advantage(outcome.clone(), mask, index)[0],
        "reinforce_pp": verl.compute_reinforce_plus_plus_outcome_advantage(token_rewards(True), mask, gamma(1.0))[0],
        "reinforce_pp_discounted": verl.compute_reinforce_plus_plus_outcome_advantage(
            token_rewards(True), mask, gamma(0.9)
        )[0],
    }
    by_kind = torch.zeros_like(mask)
    for kind in set(kinds):
        rows = torch.tensor([k == kind for k in kinds])
        part = verl.compute_reinforce_plus_plus_outcome_advantage(outcome[rows].clone(), mask[rows], gamma(1.0))[0]
        by_kind[rows] = part
    found["trr_pp_code"] = by_kind
    reward = torch.tensor(rewards, dtype=torch.float64)
    group = torch.tensor(groups)
    mean = torch.stack([reward[group == g].mean() for g in groups])
    deviation = torch.stack([reward[group == g].std() for g in groups])
    found["trl_group"] = ((reward - mean) / (deviation + 1e-4))[:, None] * mask
    found["trl_batch"] = ((reward - mean) / (reward.std() + 1e-4))[:, None] * mask
    values = {name: [row[:n].tolist() for row, n in zip(table, lengths)] for name, table in found.items()}
    return dict(rewards=rewards, lengths=lengths, groups=groups, kinds=kinds, penalties=penalty, advantages=values)


def make_gae(verl, generator):
    rewards = [round(x, 6) for x in torch.randn(6, generator=generator).tolist()]
    values = [round(x, 6) for x in torch.randn(6, generator=generator).tolist()]
    tensor = lambda x: torch.tensor([x], dtype=torch.float64)  # noqa: E731
    mask = torch.ones(1, 6, dtype=torch.float64)
    cases = []
    for gamma, lam in ((1.0, 0.95), (0.9, 0.5), (1.0, 1.0)):
        white, returns = verl.compute_gae_advantage_return(tensor(rewards), tensor(values), mask, gamma, lam)
        case = dict(gamma=gamma, **{"lambda": lam}, rewards=rewards, values=values)
        cases.append(case | dict(whitened=white[0].tolist(), returns=returns[0].tolist()))
    predicted = tensor([round(v + d, 6) for v, d in zip(values, (0.1, -0.1, 0.5, -0.5, 0.3, 0.0))]).requires_grad_()
    loss, clipped = verl.compute_value_loss(predicted, returns, tensor(values), mask, 0.2)
    loss.backward()
    value = dict(
        predicted=predicted[0].tolist(), old=values, returns=returns[0].tolist(), clip=0.2, loss=loss.item(),
        grad=predicted.grad[0].tolist(), clipped=clipped.item(),
    )
    return cases, value


# ---------------------------------------------------------------------------------------------- pairs


def make_pairs(generator):
    """`DPOTrainer._compute_loss` on a model that returns leaf log-probs: two pairs, chosen ones first."""
    lengths = [3, 4, 5, 2]
    width = max(lengths)
    mask = torch.tensor([[0] + [int(t < n) for t in range(width)] for n in lengths])
    logp = -3.0 * torch.rand(4, width, generator=generator, dtype=torch.float64)
    reference = logp + 0.5 * torch.randn(4, width, generator=generator, dtype=torch.float64)
    logp, reference = (x.mul(1e6).round().div(1e6) for x in (logp, reference))
    cases = []
    for name, loss_type, beta, smoothing in (("dpo", "sigmoid", 0.1, 0.0), ("dpo_sharp", "sigmoid", 0.7, 0.0), ("ipo", "ipo", 0.3, 0.0)):
        leaf = logp.clone().requires_grad_()
        loss = trl_dpo(loss_type, beta, smoothing, leaf, reference, mask)
        loss.backward()
        rows = lambda x: [row[:n].tolist() for row, n in zip(x, lengths)]  # noqa: E731
        cases.append(dict(name=name, beta=beta, logp=rows(logp), ref=rows(reference), loss=loss.item(), grad=rows(leaf.grad)))
    return cases


def trl_dpo(loss_type, beta, smoothing, leaf, reference, mask):
    reference = (reference * mask[:, 1:]).sum(1)
    shared = leaf * mask[:, 1:]

    def model(**kwargs):
        nothing = torch.zeros_like(shared)
        return SimpleNamespace(log_probs=shared, mean_logits=nothing, entropy=nothing, is_top1=nothing.bool())

    model.training = True
    stub = DpoStub(
        loss_types=[loss_type],
        loss_weights=[1.0],
        beta=beta,
        label_smoothing=smoothing,
        f_divergence_type="reverse_kl",
        ld_alpha=None,
        aux_loss_enabled=False,
        precompute_ref_logps=True,
        use_weighting=False,
        model=SimpleNamespace(training=True),
        accelerator=SimpleNamespace(
            device="cpu", gather_for_metrics=lambda x: x, gather=lambda x: x, reduce=lambda x, *a, **k: x, num_processes=1
        ),
        _metrics={"train": defaultdict(list)},
        _total_train_tokens=0,
        _tp_size=1,
    )
    inputs = dict(
        input_ids=torch.zeros_like(mask),
        attention_mask=torch.ones_like(mask),
        completion_mask=mask,
        ref_chosen_logps=reference[:2],
        ref_rejected_logps=reference[2:],
    )
    return DPOTrainer._compute_loss(stub, model, inputs, False)


class DpoStub(SimpleNamespace):
    """Settings that are not named are off."""

    def __getattr__(self, name):
        return None


# ----------------------------------------------------------------------------------------------- file


def main():
    if len(sys.argv) != 2:
        sys.exit("usage: golden_objective.py FOLDER, into which the wheel of verl was unpacked")
    verl = load_verl(sys.argv[1])
    version = (Path(sys.argv[1]) / "verl/version/version").read_text().strip()
    generator = torch.Generator().manual_seed(SEED)
    batches, cases = make_cases(verl, generator)
    gae, value_loss = make_gae(verl, generator)
    golden = dict(
        source=f"torch {torch.__version__.split('+')[0]}, trl {trl.__version__}, verl {version}, float64",
        batches=batches,
        cases=cases,
        advantages=make_advantages(verl, generator),
        gae=gae,
        value_loss=value_loss,
        pairs=make_pairs(generator),
    )
    text = json.dumps(golden, separators=(",", ":"))
    for start in ('{"name"', '"advantages":{"rewards"', '"gae"', '"value_loss"', '"pairs"'):  # one case a line
        text = text.replace(start, "\n" + start)
    OUT.write_text(text + "\n")
    counts = {source: sum(case["source"] == source for case in cases) for source in ("trl", "verl", "formula")}
    print(f"{len(cases)} cases {counts}, {OUT.stat().st_size} bytes; {golden['source']}")


if __name__ == "__main__":
    main()
