"""Writes the reference numbers that pin our adapters (LoRA) to PEFT.

For each case an adapter with random A and B, as PEFT writes one, goes to <crates/model/tests/golden>/<base>/adapter-<name>/
(adapter_config.json, adapter_model.safetensors) beside the numbers:

golden.json         log-probs of the next tokens with the adapter, the probe loss, and losses and gradient norms of ten
                    AdamW steps on the adapter's weights alone
golden.safetensors  grad.<parameter> of the probe loss, final.<parameter> after the tenth step, merged.<parameter>: the
                    layers after merge_and_unload(), under their names in the base model

The base models, sequences and weights are those of `golden_model.py`, whose conventions hold here too.
"""

import json
import shutil
from pathlib import Path

import peft
import torch
import transformers
from golden_model import ADAMW, CLIP, GOLDEN, PROMPT, SEED, STEPS, WEIGHT_DECAY, completion_logprobs, digits, next_token_logprobs
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM

CASES = {
    ("qwen3-bf16", "all"): dict(r=3, lora_alpha=6, target_modules="all-linear"),
    ("llama-linear-sharded", "qv"): dict(r=2, lora_alpha=5, use_rslora=True, target_modules=["q_proj", "v_proj"]),
}


def base_model(name):
    return AutoModelForCausalLM.from_pretrained(GOLDEN / name, dtype=torch.float32, attn_implementation="eager").eval()


def write_adapter(base, settings, folder):
    torch.manual_seed(SEED)
    model = get_peft_model(base_model(base), LoraConfig(task_type="CAUSAL_LM", **settings))
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                parameter.copy_(0.2 * torch.randn(parameter.shape))
    model.base_model.model.name_or_path = base
    for config in model.peft_config.values():
        config.base_model_name_or_path = base
    model.save_pretrained(folder)
    for extra in ["README.md"]:
        (folder / extra).unlink(missing_ok=True)


def plain(name):
    """A parameter's name as it is on disk."""
    return name.replace(".default.", ".")


def trained(model):
    return {plain(name): p for name, p in model.named_parameters() if p.requires_grad}


def train(model, sequences):
    parameters = trained(model)
    optimizer = torch.optim.AdamW(parameters.values(), weight_decay=WEIGHT_DECAY, **ADAMW, foreach=False)
    losses, norms = [], []
    for _ in range(STEPS):
        optimizer.zero_grad()
        loss = -torch.cat(completion_logprobs(model, sequences)).mean()
        loss.backward()
        norms.append(torch.nn.utils.clip_grad_norm_(parameters.values(), CLIP, foreach=False).detach())
        losses.append(loss.detach())
        optimizer.step()
    final = {f"final.{name}": p.detach().clone() for name, p in parameters.items()}
    return torch.stack(losses), torch.stack(norms), final


def write_case(base, name, settings):
    folder = GOLDEN / base / f"adapter-{name}"
    shutil.rmtree(folder, ignore_errors=True)
    write_adapter(base, settings, folder)
    source = json.loads((GOLDEN / base / "golden.json").read_text())
    sequences = [torch.tensor(ids) for ids in source["sequences"]]
    weights = [torch.tensor(w) for w in source["weights"]]

    def load():
        return PeftModel.from_pretrained(base_model(base), folder, is_trainable=True).eval()

    model = load()
    loss = sum((w * l).sum() for w, l in zip(weights, completion_logprobs(model, sequences)))
    loss.backward()
    arrays = {f"grad.{name}": p.grad.clone() for name, p in trained(model).items()}
    with torch.no_grad():
        rows = [digits(next_token_logprobs(model, ids)[1]) for ids in sequences]
    losses, norms, final = train(load(), sequences)
    merged = load().merge_and_unload()
    before = dict(base_model(base).named_parameters())
    changed = {f"merged.{n}": p.detach() for n, p in merged.named_parameters() if not torch.equal(p, before[n])}
    golden = dict(
        source=f"torch {torch.__version__.split('+')[0]}, transformers {transformers.__version__}, peft {peft.__version__}",
        logprobs=rows,
        probe_loss=digits(loss.detach().reshape(1))[0],
        training=dict(
            steps=STEPS, **ADAMW, weight_decay=WEIGHT_DECAY, clip=CLIP, losses=digits(losses), grad_norms=digits(norms)
        ),
    )
    (folder / "golden.json").write_text(json.dumps(golden) + "\n")
    save_file({n: v.contiguous() for n, v in {**arrays, **final, **changed}.items()}, folder / "golden.safetensors")
    for file in folder.iterdir():
        file.chmod(0o644)
    print(f"{base}/{folder.name}: {sum(f.stat().st_size for f in folder.iterdir())} bytes, {PROMPT=}")


def main():
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    transformers.utils.logging.disable_progress_bar()
    for (base, name), settings in CASES.items():
        write_case(base, name, settings)


if __name__ == "__main__":
    main()
