"""A LoRA adapter for the small chat model: real files, random weights, made without any library."""

from __future__ import annotations

import array
import json
import random
import sys
from pathlib import Path

__all__ = ["write_adapter"]

LAYERS = 2
WIDTH = 128
RANK = 4
MODULES = ("q_proj", "v_proj")
SETTINGS = {
    "peft_type": "LORA",
    "task_type": "CAUSAL_LM",
    "r": RANK,
    "lora_alpha": 2 * RANK,
    "target_modules": MODULES,
    "bias": "none",
}


def write_adapter(folder: Path) -> Path:
    """Write the adapter's two files, the weights large enough to change an answer."""
    chance = random.Random(0)
    header: dict[str, object] = {}
    weights = array.array("f")
    for name, shape in tensors().items():
        start = len(weights) * weights.itemsize
        weights.extend(chance.gauss(0, 0.5) for _ in range(shape[0] * shape[1]))
        end = len(weights) * weights.itemsize
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [start, end]}
    if sys.byteorder == "big":
        weights.byteswap()
    described = json.dumps(header).encode()
    # The format of safetensors: the length of the header, the header, the tensors one after the other.
    content = len(described).to_bytes(8, "little") + described + weights.tobytes()
    (folder / "adapter_model.safetensors").write_bytes(content)
    (folder / "adapter_config.json").write_text(json.dumps(SETTINGS), encoding="utf-8")
    return folder


def tensors() -> dict[str, tuple[int, int]]:
    """Return the names, as PEFT writes them, and shapes of all tensors."""
    names = [
        f"base_model.model.model.layers.{layer}.self_attn.{module}"
        for layer in range(LAYERS)
        for module in MODULES
    ]
    down = {f"{name}.lora_A.weight": (RANK, WIDTH) for name in names}
    return down | {f"{name}.lora_B.weight": (WIDTH, RANK) for name in names}
