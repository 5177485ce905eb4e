"""Folders that fewbit quantizes, beside the package compressed-tensors and transformers, which load them.

    pip install torch transformers compressed-tensors
    python scripts/peers/compressed-tensors.py [FOLDER FOR MODELS [MODEL, ...]]

Small random models, dense and with experts, are made and saved in several shards, and quantized by `fewbit quantize` in every
scheme. Then:
- logits: the model as transformers loads it, against the float model whose weights were replaced by what fewbit's own
  decoder reads (scripts/peers/decompress.js), with activations quantized per token where the scheme says so, written anew here
  (transformers computes experts in floats whatever the scheme, since it keeps them in stacks that are no layers);
- weights: what the package decompresses, against what fewbit's decoder reads: equal in the type of the model;
- bytes: what the package's compressors make of the float weights with the same scales, against the files: equal;
- scales: what the package calculates for rounding to nearest, against the files: equal.
Exit code 1 where something differs.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import torch
from compressed_tensors.compressors import BaseCompressor
from compressed_tensors.quantization import QuantizationConfig
from compressed_tensors.quantization.utils import calculate_qparams
from safetensors import safe_open
from safetensors.torch import save_file
from transformers import (
    AutoModelForCausalLM,
    CompressedTensorsConfig,
    LlamaConfig,
    LlamaForCausalLM,
    MixtralConfig,
    MixtralForCausalLM,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen2MoeConfig,
    Qwen2MoeForCausalLM,
    Qwen3MoeConfig,
    Qwen3MoeForCausalLM,
)
from transformers.utils import logging

logging.disable_progress_bar()
logging.set_verbosity_error()
ROOT = Path(__file__).resolve().parents[2]
LOGIT_LIMIT = 1e-3

SHAPE = dict(vocab_size=512, hidden_size=256, intermediate_size=512, num_hidden_layers=3, max_position_embeddings=128)
MIXED = dict(SHAPE, num_attention_heads=4, num_key_value_heads=2, num_experts_per_tok=2)
MODELS = {
    "llama bfloat16": (
        lambda: LlamaForCausalLM(LlamaConfig(**SHAPE, num_attention_heads=4, num_key_value_heads=2)),
        torch.bfloat16,
    ),
    "llama float16": (
        lambda: LlamaForCausalLM(LlamaConfig(**SHAPE, num_attention_heads=4, num_key_value_heads=4)),
        torch.float16,
    ),
    # biases of q, k and v, and no output layer of its own
    "qwen2 float32": (
        lambda: Qwen2ForCausalLM(
            Qwen2Config(**SHAPE, num_attention_heads=4, num_key_value_heads=2, tie_word_embeddings=True)
        ),
        torch.float32,
    ),
    "mixtral bfloat16": (
        lambda: MixtralForCausalLM(MixtralConfig(**MIXED, num_local_experts=4)),
        torch.bfloat16,
    ),
    # an expert that sees every token
    "qwen2-moe float32": (
        lambda: Qwen2MoeForCausalLM(
            Qwen2MoeConfig(**MIXED, moe_intermediate_size=128, shared_expert_intermediate_size=256, num_experts=4)
        ),
        torch.float32,
    ),
    "qwen3-moe float16": (
        lambda: Qwen3MoeForCausalLM(Qwen3MoeConfig(**MIXED, head_dim=64, moe_intermediate_size=128, num_experts=4)),
        torch.float16,
    ),
}
RUNS = [
    ("w4", ["-s", "w4"]),
    ("w4 rtn", ["-s", "w4", "--algorithm", "rtn"]),
    ("w4 asymmetric", ["-s", "w4", "--asymmetric"]),
    ("w4 asymmetric rtn", ["-s", "w4", "--asymmetric", "--algorithm", "rtn"]),
    ("w4 groups of 32", ["-s", "w4", "--group-size", "32", "--keep", r"layers\.1\.self_attn\.[qkv]_proj"]),
    ("w4 channels", ["-s", "w4", "--group-size", "channel", "--asymmetric"]),
    ("w8", ["-s", "w8"]),
    ("w8 channels", ["-s", "w8", "--group-size", "channel", "--algorithm", "rtn"]),
    ("w8 mse", ["-s", "w8", "--algorithm", "mse"]),
    ("w8a8-dynamic", ["-s", "w8a8-dynamic"]),
    ("w8a8-dynamic mse", ["-s", "w8a8-dynamic", "--algorithm", "mse"]),
    ("fp8", ["-s", "fp8"]),
    ("fp8 mse", ["-s", "fp8", "--algorithm", "mse"]),
]
# what transformers 5.24 does not make floats of where it stacks experts (CompressedTensorsDequantize): codes of int8 that are
# not packed, and zero points, which it leaves out
UNLOADED = ["w8a8-dynamic", "w8a8-dynamic mse", "w4 asymmetric", "w4 asymmetric rtn", "w4 channels"]


def tensors_of(path):
    """All tensors of a folder or a file, by name."""
    files = sorted(path.glob("*.safetensors")) if path.is_dir() else [path]
    found = {}
    for file in files:
        with safe_open(file, framework="pt") as opened:
            found.update({name: opened.get_tensor(name) for name in opened.keys()})
    return found


def quantize_tokens(kind):
    """Activations on a grid of their own for each token, as the convention says, in the type they have."""

    def hook(module, inputs):
        (x,) = inputs
        # inputs without a dimension for the batch, as shared experts get them, have one scale for all tokens in
        # compressed-tensors (compute_dynamic_scales_and_zp); in vLLM one for each token, as the convention says
        peak = x.abs().amax(dim=-1, keepdim=True) if x.dim() > 2 else x.abs().amax()
        scale = peak / (127.5 if kind == "int" else 448.0)
        scale = torch.where(scale == 0, torch.full_like(scale, torch.finfo(x.dtype).eps), scale)
        steps = x / scale
        if kind == "int":
            codes = torch.round(steps.clamp(-128, 127))
        else:
            codes = steps.clamp(-448, 448).to(torch.float8_e4m3fn).to(x.dtype)
        return (codes * scale,)

    return hook


def reference(source, floats, config, dtype):
    """The float model with the decoded weights in their places."""
    folder = source.parent / "float"
    folder.mkdir(exist_ok=True)
    whole = {**tensors_of(source), **{name: value.to(dtype) for name, value in floats.items()}}
    save_file(whole, folder / "model.safetensors", {"format": "pt"})
    (folder / "config.json").write_text((source / "config.json").read_text())
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype).eval()
    group = config["config_groups"]["group_0"]
    for name, module in model.named_modules():
        if not isinstance(module, torch.nn.Linear) or name in config["ignore"]:
            continue
        assert f"{name}.weight" in floats, name
        if group["input_activations"] is not None:
            module.register_forward_pre_hook(quantize_tokens(group["weights"]["type"]))
    return model


def same(a, b):
    def bits(tensor):
        return tensor.detach().reshape(-1).clone(memory_format=torch.contiguous_format).view(torch.uint8)

    return a.dtype == b.dtype and a.shape == b.shape and bits(a).equal(bits(b))


def extremes(weight, args):
    spans = weight.unflatten(-1, (-1, args.group_size)) if args.group_size else weight.unsqueeze(1)
    return spans.amin(-1), spans.amax(-1)


def compare_bytes(original, written, config, is_covering):
    """Tensors of the files that the package makes otherwise, and how many were compared."""
    scheme = QuantizationConfig.model_validate(config).config_groups["group_0"]
    compressor = BaseCompressor.get_value_from_registry(config["format"])
    args = scheme.weights
    wrong, count = [], 0
    for name in [name for name in written if name.endswith(".weight_scale")]:
        base = name.removesuffix("_scale")
        module = base.removesuffix(".weight")
        weight, scale = original[base], written[name]
        given = {"weight": weight.float(), "weight_scale": scale.float()}
        low, high = extremes(weight, args)
        exact = weight.dtype if args.symmetric else torch.float32
        scales, zeros = calculate_qparams(low.to(exact), high.to(exact), args)
        if not args.symmetric:
            # for scales that were searched, zero points are those of the file, unpacked by the package
            from compressed_tensors.compressors.pack_quantized import unpack_from_int32

            given["weight_zero_point"] = unpack_from_int32(
                written[f"{base}_zero_point"], args.num_bits, torch.Size(scale.shape), packed_dim=0
            ).contiguous()
            if is_covering and weight.dtype == torch.float32:
                count += 1
                wrong += [] if given["weight_zero_point"].equal(zeros.to(torch.int8)) else [f"{base}_zero_point"]
        if is_covering and (args.symmetric or weight.dtype == torch.float32):
            count += 1
            wrong += [] if same(scales.to(scale.dtype), scale) else [name]
        for key, value in compressor.compress(given, scheme).items():
            if key == "weight_scale":
                continue
            count += 1
            wrong += [] if same(value, written[f"{module}.{key}"]) else [f"{module}.{key}"]
    return wrong, count


def load(folder, dtype):
    """The model as transformers loads it, and how. compressed-tensors 0.20 does not give packed zero points their shape when it
    prepares a model for loading (PackedQuantizationCompressor.compress on the device "meta"), so those are decoded on the way."""
    try:
        return AutoModelForCausalLM.from_pretrained(folder, dtype=dtype).eval(), ""
    except RuntimeError as error:
        if "mismatched_sizes" not in str(error):
            raise
        settings = CompressedTensorsConfig(dequantize=True)
        model = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype, quantization_config=settings)
        return model.eval(), ", loaded with dequantize=True"


def check(label, source, dtype, run, options, folder):
    out = folder / f"{source.name}-{run.replace(' ', '-')}"
    command = ["node", str(ROOT / "bin/fewbit.js"), "quantize", str(source), *options]
    made = subprocess.run([*command, "-o", str(out), "--max-shard-size", "1MB", "--json"], capture_output=True, text=True)
    if made.returncode != 0:
        raise SystemExit(f"{label} {run}: {made.stderr}")
    decoded = out.parent / f"{out.name}.float.safetensors"
    subprocess.run(["node", str(ROOT / "scripts/peers/decompress.js"), str(out), str(decoded)], check=True)
    config = json.loads((out / "config.json").read_text())["quantization_config"]
    floats, written, original = tensors_of(decoded), tensors_of(out), tensors_of(source)

    expected = reference(source, floats, config, dtype)
    tokens = torch.randint(0, SHAPE["vocab_size"], (2, 24), generator=torch.Generator().manual_seed(7))
    with torch.no_grad():
        wanted = expected(tokens).logits.float()
        plain = AutoModelForCausalLM.from_pretrained(source, dtype=dtype).eval()(tokens).logits.float()
    lost = (plain - wanted).abs().max().item()
    is_covering = "rtn" in run or run in ("w8", "w8 channels", "w8a8-dynamic", "fp8")
    wrong, count = compare_bytes(original, written, config, is_covering)
    words, fine = compare_loaded(out, dtype, expected, tokens, wanted)
    fine = (fine or (hasattr(expected.config, "num_experts_per_tok") and run in UNLOADED)) and not wrong
    shards = len(list(out.glob("*.safetensors")))
    print(
        f"{label:18} {run:18} {words} (quantizing changed them by {lost:.2e}); "
        f"{count - len(wrong)}/{count} tensors equal; {shards} files{'' if fine else '  WRONG ' + ', '.join(wrong[:3])}",
        flush=True,
    )
    return fine


def compare_loaded(out, dtype, expected, tokens, wanted):
    """What transformers makes of a folder, in words, and whether it is as expected."""
    try:
        loaded, how = load(out, dtype)
        with torch.no_grad():
            difference = (loaded(tokens).logits.float() - wanted).abs().max().item()
    except Exception as error:
        return f"transformers does not load it: {type(error).__name__}", False
    state = dict(loaded.named_parameters())
    wrong = [name for name, parameter in expected.named_parameters() if not same(state[name], parameter)]
    words = f"logits differ by {difference:.2e}, {len(wrong)} parameters differ{how}"
    return words, difference <= LOGIT_LIMIT and not wrong


def main():
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else tempfile.mkdtemp(prefix="fewbit-compressed-"))
    torch.set_num_threads(1)
    fine = True
    for label in sys.argv[2:] or MODELS:
        build, dtype = MODELS[label]
        torch.manual_seed(1)
        source = folder / label.replace(" ", "-")
        build().to(dtype).save_pretrained(source, max_shard_size="1MB")
        for run, options in RUNS:
            fine = check(label, source, dtype, run, options, folder) and fine
    raise SystemExit(0 if fine else 1)


main()
