"""Writes tests/golden/compressed-tensors.json: what the package compressed-tensors makes of small matrices, to the byte.

    pip install torch compressed-tensors
    python scripts/peers/golden-compressed-tensors.py

Scales are the package's own (`calculate_qparams`), computed in the type of the weights; codes and packed tensors are those of its
compressors, given weights and scales in float32, as its kernels for GPUs compute. Zero points are calculated from the scale as it
is stored.
"""

import base64
import json
from pathlib import Path

import compressed_tensors
import torch
from compressed_tensors.compressors import BaseCompressor
from compressed_tensors.quantization import QuantizationArgs, QuantizationConfig, QuantizationScheme
from compressed_tensors.quantization.utils import calculate_qparams

OUT = Path(__file__).resolve().parents[2] / "tests/golden/compressed-tensors.json"
# 13 rows leave the last word of packed zero points partly empty
ROWS, COLUMNS, GROUP = 13, 64, 32


def matrix(dtype):
    generator = torch.Generator().manual_seed(3)
    weight = torch.randn(ROWS, COLUMNS, generator=generator) * 0.05
    weight[2] = 0
    weight[3] *= 1e-6
    weight[4] = weight[4].abs()
    weight[5] = -weight[5].abs()
    weight[6, 7] = 3.5
    weight[7] = torch.arange(COLUMNS) / 16 - 2
    return weight.to(dtype)


def scheme(bits, kind, symmetric=True, group=None, tokens=False):
    weights = QuantizationArgs(
        num_bits=bits, type=kind, symmetric=symmetric, strategy="group" if group else "channel", group_size=group
    )
    inputs = QuantizationArgs(num_bits=bits, type=kind, strategy="token", dynamic=True) if tokens else None
    return QuantizationScheme(targets=["Linear"], weights=weights, input_activations=inputs)


SCHEMES = {
    "w4": ("pack-quantized", scheme(4, "int", group=GROUP)),
    "w4 asymmetric": ("pack-quantized", scheme(4, "int", symmetric=False, group=GROUP)),
    "w8": ("pack-quantized", scheme(8, "int", group=GROUP)),
    "w8a8-dynamic": ("int-quantized", scheme(8, "int", tokens=True)),
    "fp8": ("float-quantized", scheme(8, "float", tokens=True)),
}


def described(tensor):
    data = base64.b64encode(tensor.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()).decode()
    return {"dtype": str(tensor.dtype).removeprefix("torch."), "shape": list(tensor.shape), "data": data}


def qparams(weight, args):
    spans = weight.unflatten(-1, (-1, args.group_size)) if args.group_size else weight.unsqueeze(1)
    low, high = spans.amin(-1), spans.amax(-1)
    if args.symmetric:
        return calculate_qparams(low, high, args)[0], None
    scale, zero = calculate_qparams(low.float(), high.float(), args)
    stored = scale.to(weight.dtype)
    least = torch.finfo(weight.dtype).eps
    stored = torch.where((stored == 0) | (low == high), torch.full_like(stored, least), stored)
    again = torch.clamp(-8 - low.clamp(max=0).float() / stored.float(), -8, 7).round().to(torch.int8)
    again[(low == 0) & (high == 0)] = 0
    assert weight.dtype != torch.float32 or again.equal(zero)
    return stored, again


def case(weight, name):
    form, quantized = SCHEMES[name]
    scale, zero = qparams(weight, quantized.weights)
    given = {"weight": weight.float(), "weight_scale": scale.float()}
    if zero is not None:
        given["weight_zero_point"] = zero
    made = BaseCompressor.get_value_from_registry(form).compress(given, quantized)
    made["weight_scale"] = scale
    return {key: described(value) for key, value in sorted(made.items())}


def config(name):
    form, quantized = SCHEMES[name]
    quantized.format = form
    whole = QuantizationConfig(
        config_groups={"group_0": quantized}, format=form, quantization_status="compressed", ignore=["lm_head"]
    )
    return json.loads(whole.model_dump_json())


TYPES = [torch.float32, torch.bfloat16, torch.float16]
OUT.write_text(
    json.dumps(
        {
            "version": compressed_tensors.__version__,
            "group": GROUP,
            "configs": {name: config(name) for name in SCHEMES},
            "cases": [
                {"weight": described(matrix(dtype)), "schemes": {name: case(matrix(dtype), name) for name in SCHEMES}}
                for dtype in TYPES
            ],
        },
        indent=1,
    )
    + "\n"
)
