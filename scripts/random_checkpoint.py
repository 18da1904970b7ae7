"""Writes a checkpoint with random weights in the shape of a known model, for measurements without a download.

    python3 scripts/random_checkpoint.py DIR [--shape 0.5b|1.5b] [--dtype bfloat16]

The shapes are those of Qwen2.5-Coder. The tokenizer is that of the embedded model, which knows far fewer tokens than
the embedding has rows; what such a model says is noise.
"""

import argparse
import shutil
from pathlib import Path

import torch
from transformers import Qwen2Config, Qwen2ForCausalLM

SHAPES = {
    "0.5b": dict(hidden_size=896, intermediate_size=4864, num_hidden_layers=24, num_attention_heads=14),
    "1.5b": dict(hidden_size=1536, intermediate_size=8960, num_hidden_layers=28, num_attention_heads=12),
}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dir", type=Path)
    parser.add_argument("--shape", choices=SHAPES, default="0.5b")
    parser.add_argument("--dtype", choices=["bfloat16", "float16", "float32"], default="bfloat16")
    args = parser.parse_args()
    torch.manual_seed(0)
    config = Qwen2Config(
        **SHAPES[args.shape],
        vocab_size=151936,
        num_key_value_heads=2,
        max_position_embeddings=2048,
        rope_theta=1e6,
        tie_word_embeddings=True,
        bos_token_id=0,
        eos_token_id=0,
        dtype=args.dtype,
    )
    model = Qwen2ForCausalLM(config).to(getattr(torch, args.dtype))
    model.save_pretrained(args.dir, max_shard_size="10GB")
    assets = Path(__file__).resolve().parent.parent / "assets" / "nano"
    shutil.copy(assets / "tokenizer.json", args.dir / "tokenizer.json")


main()
