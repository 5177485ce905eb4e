"""Tiny models of three families, converted by llama.cpp's own converter, as golden files for src/lowering/gguf.

    python scripts/peers/golden-gguf.py LLAMA_CPP tests/golden/gguf

LLAMA_CPP is a checkout of llama.cpp v0.5.0; torch, transformers 4.57 and numpy are needed. The values of a tensor are
((37 i) mod 113 - 56) / 16 for its element i, exact in bfloat16; the tokenizer is left out of the files.
"""

import importlib
import json
import struct
import sys
import tempfile
from pathlib import Path

llama_cpp, out = Path(sys.argv[1]), Path(sys.argv[2])
sys.path[:0] = [str(llama_cpp), str(llama_cpp / "gguf-py")]

import numpy as np  # noqa: E402
import torch  # noqa: E402

for name in ("float8_e4m3fn", "float8_e5m2", "float8_e8m0fnu", "float4_e2m1fn_x2", "uint16", "uint32", "uint64"):
    if not hasattr(torch, name):  # old versions of torch lack types that no model here uses
        setattr(torch, name, torch.float64)

import gguf  # noqa: E402

BASE = {"hidden_size": 8, "intermediate_size": 12, "num_hidden_layers": 2, "num_attention_heads": 2,
        "num_key_value_heads": 1, "vocab_size": 10, "max_position_embeddings": 64, "rms_norm_eps": 1e-5,
        "rope_theta": 10000.0, "tie_word_embeddings": False}
LLAMA3 = {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
          "original_max_position_embeddings": 8192}
MODELS = {
    "llama": (BASE | {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "head_dim": 32,
                      "rope_theta": 500000.0, "rope_scaling": LLAMA3}, "float16", ()),
    "mistral": (BASE | {"architectures": ["MistralForCausalLM"], "model_type": "mistral"}, "float32", ()),
    "qwen2": (BASE | {"architectures": ["Qwen2ForCausalLM"], "model_type": "qwen2"}, "bfloat16", ("bias",)),
    "qwen3": (BASE | {"architectures": ["Qwen3ForCausalLM"], "model_type": "qwen3", "head_dim": 4}, "float16", ("norm",)),
}
CLASSES = {"llama": ("llama", "LlamaModel"), "mistral": ("llama", "LlamaModel"), "qwen2": ("qwen", "Qwen2Model"),
           "qwen3": ("qwen", "Qwen3Model")}
FILE_TYPES = {"float32": "ALL_F32", "float16": "MOSTLY_F16", "bfloat16": "MOSTLY_BF16"}


def shapes(config, extras):
    hidden, inner, vocab = config["hidden_size"], config["intermediate_size"], config["vocab_size"]
    head = config.get("head_dim", hidden // config["num_attention_heads"])
    q, k = head * config["num_attention_heads"], head * config["num_key_value_heads"]
    yield from (("lm_head.weight", [vocab, hidden]), ("model.embed_tokens.weight", [vocab, hidden]), ("model.norm.weight", [hidden]))
    for layer in range(config["num_hidden_layers"]):
        inside = {"input_layernorm.weight": [hidden], "post_attention_layernorm.weight": [hidden],
                  "self_attn.q_proj.weight": [q, hidden], "self_attn.k_proj.weight": [k, hidden],
                  "self_attn.v_proj.weight": [k, hidden], "self_attn.o_proj.weight": [hidden, q],
                  "mlp.gate_proj.weight": [inner, hidden], "mlp.up_proj.weight": [inner, hidden],
                  "mlp.down_proj.weight": [hidden, inner]}
        if "bias" in extras:
            inside |= {f"self_attn.{name}_proj.bias": [size] for name, size in (("q", q), ("k", k), ("v", k))}
        if "norm" in extras:
            inside |= {f"self_attn.{name}_norm.weight": [head] for name in ("q", "k")}
        yield from ((f"model.layers.{layer}.{name}", shape) for name, shape in inside.items())


def safetensors(tensors):
    header, data = {}, b""
    for name, shape in tensors:
        i = np.arange(int(np.prod(shape)))
        values = ((37 * i % 113 - 56) / 16).astype(np.float32)
        raw = (values.view(np.uint32) >> 16).astype(np.uint16).tobytes()
        header[name] = {"dtype": "BF16", "shape": shape, "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


for name, (config, file_type, extras) in MODELS.items():
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "config.json").write_text(json.dumps(config))
        (Path(folder) / "model.safetensors").write_bytes(safetensors(shapes(config, extras)))
        module, class_name = CLASSES[name]
        converter = getattr(importlib.import_module(f"conversion.{module}"), class_name)
        converter.set_vocab = lambda self: None
        with torch.inference_mode():
            file_type = getattr(gguf.LlamaFileType, FILE_TYPES[file_type])
            converter(Path(folder), file_type, out / f"{name}.gguf", eager=True, model_name="Tiny").write()
    (out / f"{name}.json").write_text(json.dumps(config, indent=1) + "\n")
