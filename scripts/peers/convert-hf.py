"""Small model folders as Hugging Face's tools make them, and what llama.cpp's own converter makes of each.

    python scripts/peers/convert-hf.py LLAMA_CPP tests/golden/gguf/folders.json [FOLDER]

LLAMA_CPP is a checkout of llama.cpp v0.5.0; needed are torch, transformers 4.57, tokenizers, sentencepiece, numpy and
pyyaml. Tokenizers are trained on a made-up text. FOLDER keeps the folders and the converter's files. Weights are not in
the golden file: values of bfloat16 and float16 tensors are ((37 i) mod 113 - 56) / 16 for element i, those of float32
tensors ((7919 i) mod 10007 - 5003) / 4096. The name of the pre-tokenizer is the one thing that is given to the converter:
it knows real tokenizers by a hash of what they make of a text, and these are none of them.
"""

import base64
import hashlib
import importlib
import json
import random
import shutil
import struct
import sys
import tempfile
from pathlib import Path

llama_cpp, out = Path(sys.argv[1]), Path(sys.argv[2])
sys.path[:0] = [str(llama_cpp), str(llama_cpp / "gguf-py")]

import numpy as np  # noqa: E402
import sentencepiece  # noqa: E402
import torch  # noqa: E402
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers  # noqa: E402

for missing in ("float8_e4m3fn", "float8_e5m2", "float8_e8m0fnu", "float4_e2m1fn_x2", "uint16", "uint32", "uint64"):
    if not hasattr(torch, missing):  # old versions of torch lack types that no model here uses
        setattr(torch, missing, torch.float64)

import gguf  # noqa: E402

random.seed(7)
WORDS = ["the", "brown", "fox", "jumps", "over", "lazy", "dog's", "tail", "she", "They'll", "quick", "number", "12", "2026",
         "café", "naïve", "Ünïcode", "мир", "数字", "x", "function", "return", "(a", "b)", "=>", "don't", "WE'VE", "end."]
TEXT = [" ".join(random.choice(WORDS) for _ in range(random.randint(3, 12))) + random.choice([".", "!", "?", "\n", ":  "])
        for _ in range(400)]

CONTRACTIONS = "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|"
TAIL = "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
LLAMA3 = CONTRACTIONS + "\\p{N}{1,3}" + TAIL
QWEN2 = CONTRACTIONS + "\\p{N}" + TAIL
UPPER, LOWER = "[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]", "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]"
TEKKEN = (f"[^\\r\\n\\p{{L}}\\p{{N}}]?{UPPER}*{LOWER}+|[^\\r\\n\\p{{L}}\\p{{N}}]?{UPPER}+{LOWER}*|\\p{{N}}"
          "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+")


def special(text, **more):
    return AddedToken(text, special=True, normalized=False, **more)


def plain(text, normalized=False):
    return AddedToken(text, special=False, normalized=normalized)


def byte_level(pre, added=(), size=300, normalizer=None, post=None, ignore_merges=False, first=()):
    """A BPE tokenizer on bytes, as tokenizer.json."""
    tokenizer = Tokenizer(models.BPE(ignore_merges=ignore_merges))
    tokenizer.pre_tokenizer = pre
    if normalizer is not None:
        tokenizer.normalizer = normalizer
    trainer = trainers.BpeTrainer(vocab_size=size, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
                                  special_tokens=list(first), show_progress=False)
    tokenizer.train_from_iterator(TEXT, trainer)
    tokenizer.decoder = decoders.ByteLevel()
    for token in added:
        (tokenizer.add_special_tokens if token.special else tokenizer.add_tokens)([token])
    if post is not None:
        tokenizer.post_processor = post(tokenizer)
    return json.loads(tokenizer.to_str())


def split(pattern, trim_offsets=True):
    return pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(pattern), behavior="isolated", invert=False),
        pre_tokenizers.ByteLevel(add_prefix_space=False, trim_offsets=trim_offsets, use_regex=False)])


def template(first, last=None):
    def make(tokenizer):
        single = " ".join(part for part in (first, "$A", last) if part)
        pair = f"{first} $A {first}:1 $B:1"
        tokens = [(text, tokenizer.token_to_id(text)) for text in (first, last) if text]
        return processors.TemplateProcessing(single=single, pair=pair, special_tokens=tokens)
    return make


def sequence_template(first):
    return lambda tokenizer: processors.Sequence([processors.ByteLevel(trim_offsets=False), template(first)(tokenizer)])


def piece_model(size, **more):
    """A tokenizer.model of SentencePiece, bytes as a last resort."""
    with tempfile.TemporaryDirectory() as folder:
        text = Path(folder) / "text"
        text.write_text("\n".join(line.strip() for line in TEXT))
        sentencepiece.SentencePieceTrainer.train(
            input=str(text), model_prefix=str(Path(folder) / "m"), model_type="bpe", vocab_size=size, byte_fallback=True,
            normalization_rule_name="identity", remove_extra_whitespaces=False, minloglevel=2, **more)
        return (Path(folder) / "m.model").read_bytes()


def piece_json(model, added):
    """tokenizer.json of such a model, in the form transformers' converter gives it."""
    processor = sentencepiece.SentencePieceProcessor(model_proto=model)
    vocab = {processor.id_to_piece(i): i for i in range(processor.vocab_size())}
    merges = []
    for piece, score in ((p, processor.get_score(i)) for p, i in vocab.items()):
        cuts = [(piece[:i], piece[i:]) for i in range(1, len(piece)) if piece[:i] in vocab and piece[i:] in vocab]
        merges += [(vocab[piece], vocab[a], a, b) for a, b in cuts]
    merges = [(a, b) for _, _, a, b in sorted(merges)]
    tokenizer = Tokenizer(models.BPE(vocab, merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    tokenizer.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)])
    for token in added:
        (tokenizer.add_special_tokens if token.special else tokenizer.add_tokens)([token])
    tokenizer.post_processor = template("<s>")(tokenizer)
    return json.loads(tokenizer.to_str())


def decoder_entries(tokenizer):
    return {str(token["id"]): {key: token[key] for key in ("content", "lstrip", "normalized", "rstrip", "single_word", "special")}
            for token in tokenizer["added_tokens"]}


EXPERTS = ("mlp", "gate_proj", "up_proj", "down_proj")
BASE = {"hidden_size": 32, "intermediate_size": 12, "num_hidden_layers": 2, "num_attention_heads": 4,
        "num_key_value_heads": 2, "max_position_embeddings": 64, "rms_norm_eps": 1e-5, "rope_theta": 10000.0,
        "tie_word_embeddings": False, "torch_dtype": "bfloat16"}


def config(family, vocab, **more):
    name = {"llama": "LlamaForCausalLM", "mistral": "MistralForCausalLM", "qwen2": "Qwen2ForCausalLM", "qwen3": "Qwen3ForCausalLM",
            "mixtral": "MixtralForCausalLM", "qwen2_moe": "Qwen2MoeForCausalLM", "qwen3_moe": "Qwen3MoeForCausalLM"}
    return BASE | {"architectures": [name[family]], "model_type": family, "vocab_size": vocab} | more


TEMPLATE = "{% for message in messages %}{{ '<|' + message['role'] + '|>' }}{{ message['content'] | trim }}{% endfor %}\n"
CARD = """---
license: other
license_name: tiny-licence
license_link: "https://example.org/licence"
language:
- en
- no
- de
tags: [text-generation, 'made-up', tiny]
pipeline_tag: text-generation
library_name: transformers
base_model:
  - example/Base-Model-3B-v1.2
  - https://huggingface.co/other-org/Second-7B-Instruct
datasets:
- example/some-data
- https://example.org/data
model-index:
- name: tiny
  results:
    - task: {type: text-generation}
      metrics: [{type: acc, value: 0.5}]
extra_gated_prompt: |
  Say: yes
  or no
---
# Tiny
"""
CARD_PLAIN = """---
license: apache-2.0   # as always
language: en
base_model: example/Parent-1B
model_name: Tiny Named "Model"
model_creator: Somebody
description: >-
  folded
  text
---
"""


def folders():
    spm = piece_model(320)
    llama_json = piece_json(spm, [special("<unk>"), special("<s>"), special("</s>")])
    llama_tokens = {"add_bos_token": True, "add_eos_token": False, "bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>",
                    "tokenizer_class": "LlamaTokenizer", "clean_up_tokenization_spaces": False,
                    "added_tokens_decoder": decoder_entries(llama_json)}

    yield "Tiny-Llama-2-7b-chat-hf", {
        "config.json": config("llama", 320, bos_token_id=1, eos_token_id=2, pad_token_id=0),
        "generation_config.json": {"bos_token_id": 1, "eos_token_id": 2, "temperature": 0.6, "top_p": 0.9, "do_sample": True},
        "tokenizer.model": spm, "tokenizer.json": llama_json,
        "tokenizer_config.json": llama_tokens | {"chat_template": TEMPLATE},
        "README.md": CARD,
    }, {"types": ["f16", "q8_0"]}

    yield "mistral-tiny-v0.1", {
        "config.json": config("mistral", 330, bos_token_id=1, eos_token_id=2, sliding_window=4096, head_dim=8),
        "tokenizer.model": piece_model(320, user_defined_symbols=["[USER]", "<pad>"], control_symbols=["[INST]", "[/INST]"]),
        "added_tokens.json": {"<extra>": 321, "<over>": 400},
        "tokenizer_config.json": {
            "add_prefix_space": True, "bos_token": {"__type": "AddedToken", "content": "<s>"}, "eos_token": "</s>",
            "added_tokens_decoder": {"322": {"content": "▁two▁words", "special": False}, "323": {"content": "<|look|>", "special": False},
                                     "3": {"content": "[INST]", "special": True}, "999": {"content": "far"}},
            "chat_template": [{"name": "default", "template": TEMPLATE}, {"name": "tool use", "template": TEMPLATE + "{{ tools }}"}]},
        "README.md": CARD_PLAIN,
    }, {"types": ["bf16"], "dtype": "float16"}

    yield "llama_without_model_file", {
        "config.json": config("llama", 320, bos_token_id=1, eos_token_id=2),
        "tokenizer.json": piece_json(spm, [special("<unk>"), special("<s>"), special("</s>"), plain("<extra>"), special("[PAD]")]),
        "tokenizer_config.json": llama_tokens | {"added_tokens_decoder": {}, "pad_token": "[PAD]"},
        "chat_template.jinja": TEMPLATE,
    }, {"types": ["auto"], "dtype": "float32"}

    begin, end = "<|begin_of_text|>", "<|end_of_text|>"
    llama3 = byte_level(split(LLAMA3), [special(begin), special(end), special("<|eot_id|>"), plain("<|not_special|>"), plain("[word ,]")],
                        post=sequence_template(begin), ignore_merges=True)
    yield "Tiny-Llama-3.2-1B-Instruct", {
        "config.json": config("llama", len(llama3["model"]["vocab"]) + 5, bos_token_id=300, eos_token_id=[301, 302], head_dim=64, rope_theta=500000.0,
                              tie_word_embeddings=True,
                              rope_scaling={"factor": 32.0, "high_freq_factor": 4.0, "low_freq_factor": 1.0,
                                            "original_max_position_embeddings": 8192, "rope_type": "llama3"}),
        "generation_config.json": {"eos_token_id": [301, 302], "temperature": 0.6, "top_p": 0.9, "top_k": 40, "repetition_penalty": 1.05},
        "tokenizer.json": llama3,
        "tokenizer_config.json": {"bos_token": begin, "eos_token": "<|eot_id|>", "clean_up_tokenization_spaces": True,
                                  "tokenizer_class": "PreTrainedTokenizerFast", "added_tokens_decoder": decoder_entries(llama3),
                                  "chat_template": TEMPLATE},
        "special_tokens_map.json": {"bos_token": begin},
        "README.md": "---\nlanguage:\n  - en\n  - 'de'\nlicense: llama3.2\npipeline_tag: text-generation\ntags:\n- llama\n---\ntext",
    }, {"types": ["bf16", "q8_0"], "pre": "llama-bpe", "tied": True}

    tekken = byte_level(split(TEKKEN), first=[special("<unk>"), special("<s>"), special("</s>"), special("[INST]"), special("[/INST]"), special("<pad>")],
                        size=310, post=template("<s>"), ignore_merges=True)
    yield "Mistral-Tiny-Instruct-2407", {
        "config.json": config("mistral", len(tekken["model"]["vocab"]), bos_token_id=1, eos_token_id=2, head_dim=16, num_key_value_heads=1),
        "tokenizer.json": tekken,
        "tokenizer_config.json": {"add_bos_token": True, "add_eos_token": False, "add_prefix_space": False, "bos_token": "<s>", "eos_token": "</s>",
                                  "unk_token": "<unk>", "tokenizer_class": "GPT2Tokenizer", "added_tokens_decoder": decoder_entries(tekken)},
        "chat_template.json": {"chat_template": TEMPLATE},
    }, {"types": ["f16"], "pre": "tekken"}

    qwen = byte_level(split(QWEN2, trim_offsets=False), [special("<|endoftext|>"), special("<|im_start|>"), special("<|im_end|>")],
                      normalizer=normalizers.NFC())
    yield "Qwen2.5-0.5B-Instruct", {
        "config.json": config("qwen2", 320, bos_token_id=300, eos_token_id=302, rope_theta=1000000.0, sliding_window=32768, use_sliding_window=False,
                              rope_scaling={"factor": 4.0, "original_max_position_embeddings": 32768, "type": "yarn"}),
        "generation_config.json": {"bos_token_id": 300, "pad_token_id": 300, "eos_token_id": [302, 300], "repetition_penalty": 1.1, "temperature": 0.7,
                                   "top_p": 0.8, "top_k": 20},
        "tokenizer.json": qwen,
        "tokenizer_config.json": {"add_bos_token": False, "add_prefix_space": False, "added_tokens_decoder": decoder_entries(qwen), "bos_token": None,
                                  "eos_token": "<|im_end|>", "errors": "replace", "pad_token": "<|endoftext|>", "tokenizer_class": "Qwen2Tokenizer",
                                  "unk_token": None, "additional_special_tokens": ["<|im_start|>", "<|im_end|>"], "chat_template": TEMPLATE},
        "README.md": "---\nlicense: apache-2.0\nlicense_link: https://huggingface.co/Qwen/x/blob/main/LICENSE\nlanguage:\n- en\npipeline_tag: text-generation\nbase_model: Qwen/Qwen2.5-0.5B\ntags:\n- chat\nlibrary_name: transformers\n---\n\n# Qwen\n",
    }, {"types": ["auto"], "pre": "qwen2", "extras": ("bias",), "shards": 2}

    qwen3 = byte_level(split(QWEN2, trim_offsets=False), [special("<|endoftext|>"), special("<|im_end|>"), plain("<think>"), plain("</think>"), plain("Ġspace", True), plain("Ġthing")],
                       normalizer=normalizers.NFC())
    yield "Qwen3-0.6B", {
        "config.json": config("qwen3", 320, bos_token_id=300, eos_token_id=301, head_dim=16, tie_word_embeddings=True, rope_theta=1000000),
        "tokenizer.json": qwen3,
        "tokenizer_config.json": {"bos_token": None, "eos_token": "<|im_end|>", "pad_token": "<|endoftext|>", "tokenizer_class": "Qwen2Tokenizer",
                                  "unk_token": None, "added_tokens_decoder": decoder_entries(qwen3) | {"306": {"content": "<new>", "special": False, "normalized": False}},
                                  "mask_token": "<mask>", "chat_template": None},
        "chat_template.jinja": TEMPLATE,
        "README.md": "# no front matter\n",
    }, {"types": ["f32"], "pre": "qwen2", "extras": ("norm",), "tied": True, "shards": 3}

    digits = pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)])
    smol = byte_level(digits, first=[special("<|endoftext|>"), special("<|im_start|>"), special("<|im_end|>")])
    yield "SmolLM2-tiny", {
        "config.json": config("llama", len(smol["model"]["vocab"]), bos_token_id=1, eos_token_id=2, pad_token_id=2),
        "tokenizer.json": smol,
        "tokenizer_config.json": {"add_prefix_space": False, "bos_token": "<|im_start|>", "eos_token": "<|im_end|>", "unk_token": "<|endoftext|>",
                                  "pad_token": "<|im_end|>", "tokenizer_class": "GPT2Tokenizer", "added_tokens_decoder": decoder_entries(smol)},
    }, {"types": ["f16"], "pre": "smollm"}

    gpt = byte_level(pre_tokenizers.ByteLevel(add_prefix_space=False), [special("<|endoftext|>"), plain("[PAD]")])
    yield "gpt2 like", {
        "config.json": {key: value for key, value in config("llama", 49152).items() if key not in ("rope_theta", "rms_norm_eps", "num_key_value_heads")},
        "tokenizer.json": gpt,
        "special_tokens_map.json": {"eos_token": "<|endoftext|>", "bos_token": "<|endoftext|>", "pad_token": "[PAD]"},
        "added_tokens.json": {"<extra>": 302},
        "tokenizer_config.json": {"tokenizer_class": "GPT2Tokenizer", "model_max_length": 64},
    }, {"types": ["f16"], "pre": "gpt-2"}

    yield "Mixtral-8x1K-Instruct-v0.1", {
        "config.json": config("mixtral", 320, num_local_experts=4, num_experts_per_tok=2, intermediate_size=64, bos_token_id=1, eos_token_id=2),
        "tokenizer.model": spm,
    }, {"types": ["f16", "q8_0", "auto"], "experts": ("block_sparse_moe", "w1", "w3", "w2"), "shards": 3}

    # what config.json does not say, a size that is counted, and rows that are no whole number of blocks
    silent = ("rope_theta", "rms_norm_eps", "num_key_value_heads", "max_position_embeddings")
    yield "mixtral of eight", {
        "config.json": {key: value for key, value in config("mixtral", 320, num_attention_heads=8).items() if key not in silent},
        "tokenizer.model": spm,
    }, {"types": ["q8_0"], "experts": ("block_sparse_moe", "w1", "w3", "w2"), "dtype": "float32"}

    yield "Qwen1.5-MoE-A2.7B", {
        "config.json": config("qwen2_moe", 320, num_experts=5, num_experts_per_tok=3, moe_intermediate_size=32, shared_expert_intermediate_size=64),
        "tokenizer.json": qwen,
        # llama.cpp's converter does not look at it
        "tokenizer.model": spm,
    }, {"types": ["f32", "q8_0"], "pre": "qwen2", "extras": ("bias", "shared"), "experts": EXPERTS, "dtype": "float16", "shards": 2}

    yield "Qwen3-30B-A3B", {
        "config.json": config("qwen3_moe", 320, num_experts=3, num_experts_per_tok=1, moe_intermediate_size=24, head_dim=16, rope_theta=1e6),
        "tokenizer.json": qwen3,
    }, {"types": ["bf16", "auto"], "pre": "qwen2", "extras": ("norm",), "experts": EXPERTS}

    yield "codellama-7b", {
        "config.json": config("llama", 32016, bos_token_id=1, eos_token_id=2),
        "tokenizer.model": spm,
    }, {"types": ["f16"]}


def mlp(prefix, hidden, inner, names=EXPERTS[1:]):
    gate, up, down = names
    return {f"{prefix}.{gate}.weight": [inner, hidden], f"{prefix}.{up}.weight": [inner, hidden], f"{prefix}.{down}.weight": [hidden, inner]}


def mixture(settings, extras, hidden, experts):
    home, *names = experts
    count, inner = settings.get("num_local_experts", settings.get("num_experts", 8)), settings.get("moe_intermediate_size", settings["intermediate_size"])
    inside = {f"{home}.gate.weight": [count, hidden]}
    for expert in range(count):
        inside |= mlp(f"{home}.experts.{expert}", hidden, inner, names)
    if "shared" in extras:
        inside |= mlp(f"{home}.shared_expert", hidden, settings["shared_expert_intermediate_size"])
        inside |= {f"{home}.shared_expert_gate.weight": [1, hidden]}
    return inside


def shapes(settings, extras, tied, experts=None):
    hidden, inner, vocab = settings["hidden_size"], settings["intermediate_size"], settings["vocab_size"]
    heads = settings["num_attention_heads"]
    head = settings.get("head_dim", hidden // heads)
    q, k = head * heads, head * settings.get("num_key_value_heads", heads)
    if not tied:
        yield "lm_head.weight", [vocab, hidden]
    yield from (("model.embed_tokens.weight", [vocab, hidden]), ("model.norm.weight", [hidden]))
    for layer in range(settings["num_hidden_layers"]):
        inside = {"input_layernorm.weight": [hidden], "post_attention_layernorm.weight": [hidden],
                  "self_attn.q_proj.weight": [q, hidden], "self_attn.k_proj.weight": [k, hidden],
                  "self_attn.v_proj.weight": [k, hidden], "self_attn.o_proj.weight": [hidden, q]}
        inside |= mlp("mlp", hidden, inner) if experts is None else mixture(settings, extras, hidden, experts)
        if "bias" in extras:
            inside |= {f"self_attn.{name}_proj.bias": [size] for name, size in (("q", q), ("k", k), ("v", k))}
        if "norm" in extras:
            inside |= {f"self_attn.{name}_norm.weight": [head] for name in ("q", "k")}
        yield from ((f"model.layers.{layer}.{name}", shape) for name, shape in inside.items())


def raw(shape, dtype):
    i = np.arange(int(np.prod(shape)), dtype=np.int64)
    if dtype == "float32":
        return ((7919 * i % 10007 - 5003) / 4096).astype(np.float32).tobytes()
    values = ((37 * i % 113 - 56) / 16).astype(np.float32)
    if dtype == "float16":
        return values.astype(np.float16).tobytes()
    return (values.view(np.uint32) >> 16).astype(np.uint16).tobytes()


NAMES = {"float32": "F32", "float16": "F16", "bfloat16": "BF16"}


def safetensors(tensors, dtype):
    header, data = {}, b""
    for name, shape in tensors:
        bytes_ = raw(shape, dtype)
        header[name] = {"dtype": NAMES[dtype], "shape": shape, "data_offsets": [len(data), len(data) + len(bytes_)]}
        data += bytes_
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def write_weights(folder, tensors, dtype, shards):
    if shards == 1:
        (folder / "model.safetensors").write_bytes(safetensors(tensors, dtype))
        return
    places = {}
    for shard in range(shards):
        name = f"model-{shard + 1:05d}-of-{shards:05d}.safetensors"
        own = tensors[shard::shards]
        places |= {tensor: name for tensor, _ in own}
        (folder / name).write_bytes(safetensors(own, dtype))
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": dict(sorted(places.items()))}))


CLASSES = {"LlamaForCausalLM": ("llama", "LlamaModel"), "MistralForCausalLM": ("llama", "LlamaModel"),
           "Qwen2ForCausalLM": ("qwen", "Qwen2Model"), "Qwen3ForCausalLM": ("qwen", "Qwen3Model"),
           "MixtralForCausalLM": ("llama", "LlamaModel"), "Qwen2MoeForCausalLM": ("qwen", "Qwen2MoeModel"),
           "Qwen3MoeForCausalLM": ("qwen", "Qwen3MoeModel")}
FILE_TYPES = {"f32": "ALL_F32", "f16": "MOSTLY_F16", "bf16": "MOSTLY_BF16", "q8_0": "MOSTLY_Q8_0", "auto": "GUESSED"}


def convert(folder, settings, file_type, pre, target):
    module, class_name = CLASSES[settings["architectures"][0]]
    converter = getattr(importlib.import_module(f"conversion.{module}"), class_name)
    if pre is not None:
        converter.get_vocab_base_pre = lambda self, tokenizer: pre
    with torch.inference_mode():
        converter(folder, getattr(gguf.LlamaFileType, FILE_TYPES[file_type]), target, eager=True).write()


def entry(field):
    """Type and value of a key; long arrays as a digest of their elements as JSON."""
    value = field.contents()
    kinds = [gguf.GGUFValueType(kind).name.lower() for kind in field.types]
    if isinstance(value, list) and len(value) > 8:
        value = {"count": len(value), "sha256": hashlib.sha256(json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()).hexdigest()}
    return [field.name, kinds, value]


def described(target):
    data = target.read_bytes()
    reader = gguf.GGUFReader(target)
    keys = [entry(field) for name, field in reader.fields.items() if not name.startswith("GGUF.")]
    return {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest(), "keys": keys,
            "tensors": [[t.name, t.tensor_type.name.lower(), hashlib.sha256(t.data.tobytes()).hexdigest()[:16]] for t in reader.tensors]}


def as_json(content):
    return {"base64": base64.b64encode(content).decode()} if isinstance(content, bytes) else content


def write_folder(folder, files):
    folder.mkdir(parents=True)
    for name, content in files.items():
        if isinstance(content, bytes):
            (folder / name).write_bytes(content)
        else:
            (folder / name).write_text(content if isinstance(content, str) else json.dumps(content, ensure_ascii=False), encoding="utf-8")


IDS = ["meta-llama/Llama-2-7b-chat-hf", "Mistral-7B-Instruct-v0.3", "Qwen2.5-0.5B-Instruct", "Qwen3-30B-A3B", "Mixtral-8x7B-v0.1",
       "bloom-7b1", "a/b/c", "./llama", "../Model-7B", "Model With Spaces", "x", "", "-", "--a--b", "SmolLM2-135M", "Llama-3.2-1B",
       "Meta-Llama-3.1-8B-Instruct-Q4_K_M", "model-f16", "model-BF16-small", "gpt-small-3B", "tiny-large", "NousResearch/Yarn-Mistral-7b-128k",
       "Phi-3-mini-4k-instruct", "iter2-model", "model-v1.2.3-chat", "v2-model-7B", "TinyLlama-1.1B-intermediate-step-1431k-3T",
       "deepseek-coder-6.7b-base", "foo-1_5B", "foo-xl", "foo-xxl", "foo-A14B", "Bar-7B-7B", "bar-vision-lora", "über-modell-3b", "1-2-3",
       "7B-first", "Yi-34B-200K", "granite-3b-code", "qwen1.5-0.5b", "iq2_xs-model", "a-i1-iq4_nl", "LLM-7.5.1", "LLM-500M-0.5B"]


def ids():
    for name in IDS:
        for total in (0, 1_000_000, 7_000_000_000):
            full, org, *rest = gguf.Metadata.get_model_id_components(name, total)
            yield [name, total, full, org, *rest, gguf.Metadata.id_to_title(full) if full is not None else None]


CARDS = [
    CARD, CARD_PLAIN, "", "no front matter", "---\n---\n", "---\r\nlicense: mit\r\nlanguage:\r\n  - en\r\n---\r\ntext",
    "---\nlicense: mit\n", "---\nname: 'it''s'\nversion: \"1.0\"\nauthor: \"a \\u00e9 \\\"b\\\"\"\n---\n",
    "---\nname: two\n  lines of\n  text\ntags: [a, b,\n  c]\nlanguage: []\n---\n", "---\nlanguage: no\ntags:\n- 2024\n- yes\n- text\n---\n",
    "---\nversion: 1.5\nname: 7\nauthor: ~\nlicense:\ndescription: null\n---\n", "---\n# comment\nlicense: mit # more\n\nname: a#b\nurl: https://x.org/a#b\n---\n",
    "---\ndescription: |\n  first\n    second\n\n  third\nname: x\n---\n", "---\ndescription: >\n  folded\n  text\n\n  more\nname: x\n---\n",
    "---\ndescription: |-\n  one\n  two\nlicense_name: >-\n  a\n  b\n---\n",
    "---\nbase_model:\n- name: Base One\n  organization: Org\n  repo_url: https://example.org/a\n- some/other\n---\n",
    "---\nbase_model: []\ndatasets:\n---\n", "---\n'license': mit\n\"name\": quoted key\ntags:   [ 'a, b', \"c\" , d e ]\n---\n",
    "---\nlicense: [mit, apache-2.0]\nlanguage:\n    - en\n    - fr\nwidget:\n- text: 'a: b'\n  example_title: x\n- messages:\n  - role: user\n    content: hi\n---\n",
    "---\nname: Model: the second\n---\n", "---\nlicense:\tmit\ntags:\n\t- a\n\t- b\n---\n", "---\ntags:\n- a: b\n- 'c: d'\n- \"e\"\n- f:g\n- -1\n- - nested\n---\n",
    "---\nname: 2024-01-02\nversion: 0x1F\nauthor: .5\norganization: 1e3\ndescription: 1_000\nlicense_name: On\n---\n",
]
CARD_KEYS = {"name", "author", "version", "description", "license", "license_name", "url", "organization", "tags", "language", "base_model", "datasets",
             "model_name", "model_creator", "pipeline_tag"}


def written(value):
    """Texts as they are, what YAML takes for something else as null in a list of its own."""
    if isinstance(value, (str, type(None))):
        return value
    if isinstance(value, list):
        return {"list": [written(item) for item in value]}
    if isinstance(value, dict):
        return {"map": [[str(key), written(item)] for key, item in value.items()]}
    return {"other": True}


def cards():
    for text in CARDS:
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / "README.md").write_bytes(text.encode())
            try:
                found = gguf.Metadata.load_model_card(Path(folder))
            except Exception:  # what YAML's reader refuses stops the converter
                yield [text, None]
                continue
            yield [text, [[key, written(value)] for key, value in found.items() if key in CARD_KEYS]]


def around(single, pair=()):
    part = {"A": {"Sequence": {"id": "A", "type_id": 0}}, "B": {"Sequence": {"id": "B", "type_id": 1}}}
    token = lambda text: part.get(text) or {"SpecialToken": {"id": text, "type_id": 0}}  # noqa: E731
    return {"type": "TemplateProcessing", "single": [token(text) for text in single], "pair": [token(text) for text in pair], "special_tokens": {}}


def specials():
    tokens = [{"id": i, "content": text, "special": True} for i, text in enumerate(["<s>", "</s>", "<sep>", "<cls>", "<eot>", "<pad>", "<unk>", "<mask>"])]
    usual = {"bos_token": "<s>", "eos_token": "</s>"}
    sequence = {"type": "Sequence", "processors": [{"type": "ByteLevel"}, around(["<s>", "A"])]}
    yield {"added_tokens": tokens, "post_processor": around(["<s>", "A", "</s>"], ["<s>", "A", "</s>", "<sep>", "B", "</s>"])}, usual, {}
    yield {"added_tokens": tokens, "post_processor": around(["<s>", "A", "<eot>"])}, usual, {}
    yield {"added_tokens": tokens, "post_processor": around(["<cls>", "A", "<sep>"], ["<cls>", "A", "<sep>", "B", "<sep>"])}, {"cls_token": "<cls>", "sep_token": "<sep>"}, {}
    yield {"added_tokens": tokens, "post_processor": {"type": "RobertaProcessing", "cls": ["<s>", 0], "sep": ["</s>", 1]}}, usual, {}
    yield {"added_tokens": tokens, "post_processor": sequence}, None, {"bos_token_id": 0, "eos_token_id": 1}
    yield {"added_tokens": tokens, "post_processor": sequence}, {"bos_token": {"content": "<s>"}, "eos_token": {"content": "</s>"}, "add_bos_token": False}, {"pad_token_id": 5}
    yield {"added_tokens": tokens}, {"unk_token": "<unk>", "mask_token": "<mask>", "pad_token": "<none>", "add_sep_token": True}, {"eos_token_id": [1, 2], "bos_token_id": 0}
    yield {"added_tokens": tokens, "normalizer": {"type": "Sequence", "normalizers": [{"type": "Lowercase"}, {"type": "BertNormalizer", "strip_accents": None, "lowercase": True}, {"type": "StripAccents"}]}}, usual, {}
    yield {"added_tokens": tokens, "post_processor": around(["A", "</s>"], ["A", "<sep>", "<sep>", "B"])}, usual | {"sep_token": "<sep>"}, {}
    yield {"added_tokens": tokens, "post_processor": around(["A"], ["A", "B"])}, {}, {"text_config": {"bos_token_id": 3}}
    yield {"added_tokens": tokens, "model": {"merges": [["a", "b c"], ["d", "e"]]}}, usual | {"chat_template": [{"name": "rag", "template": "r"}, {"name": "", "template": "x"}]}, {}


def special_vocabularies():
    for tokenizer, tokenizer_config, settings in specials():
        files = {"tokenizer.json": tokenizer, "config.json": settings} | ({} if tokenizer_config is None else {"tokenizer_config.json": tokenizer_config})
        with tempfile.TemporaryDirectory() as folder:
            write_folder(Path(folder) / "m", files)
            writer = gguf.GGUFWriter(Path(folder) / "x.gguf", "llama")
            gguf.SpecialVocab(Path(folder) / "m", load_merges=True).add_to_gguf(writer, quiet=True)
            keys = [[name, value.type.name.lower(), value.value] for name, value in writer.kv_data[0].items() if name != "general.architecture"]
        yield {"files": files, "keys": keys}


def main(keep):
    models_ = []
    for name, files, options in folders():
        folder, dtype, shards = keep / name, options.get("dtype", "bfloat16"), options.get("shards", 1)
        settings = files["config.json"]
        tensors = list(shapes(settings, options.get("extras", ()), options.get("tied", False), options.get("experts")))
        write_folder(folder, files)
        write_weights(folder, tensors, dtype, shards)
        outputs = {}
        for file_type in options["types"]:
            target = keep / f"{name}.{file_type}.gguf"
            convert(folder, settings, file_type, options.get("pre"), target)
            outputs[file_type] = described(target)
        models_.append({"name": name, "files": {key: as_json(content) for key, content in files.items()}, "dtype": dtype, "shards": shards,
                        "tensors": tensors, "outputs": outputs})
    out.write_text(json.dumps({"models": models_, "ids": list(ids()), "cards": list(cards()), "specials": list(special_vocabularies())}, ensure_ascii=False, separators=(",", ":")) + "\n", encoding="utf-8")


if len(sys.argv) > 3:
    shutil.rmtree(sys.argv[3], ignore_errors=True)
    main(Path(sys.argv[3]))
else:
    with tempfile.TemporaryDirectory() as folder:
        main(Path(folder))
