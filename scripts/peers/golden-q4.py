"""Digests of what onnxruntime's Python weight-only quantizers write, for tests that compare byte for byte.

    python scripts/peers/golden-q4.py                          # makes tests/golden/q4.json from generated weights
    python scripts/peers/golden-q4.py MODEL.onnx OUT.json      # digests of all MatMul weights of one model

Weights come from integer arithmetic alone (xorshift32, exact divisions), so that src/algorithms/golden.case.ts makes the
same bytes in TypeScript. Needs onnxruntime, onnx and numpy; the versions used are written into the file.
"""

import hashlib
import json
import logging
import pathlib
import sys

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization.matmul_bnb4_quantizer import MatMulBnb4Quantizer
from onnxruntime.quantization.matmul_nbits_quantizer import MatMulNBitsQuantizer

logging.disable(logging.INFO)

KINDS = ["bell", "uniform", "outliers", "zeros", "constant", "subnormal", "ties", "positive"]
SHAPES = [(64, 32), (33, 7), (1, 5), (31, 3), (83, 2), (257, 19), (100, 64), (513, 5), (96, 1)]
SHAPES_PER_KIND = 3


def draws(seed, count):
    """Signed 24-bit integers of xorshift32 (Marsaglia 2003)."""
    state = seed
    for _ in range(count):
        state ^= (state << 13) & 0xFFFFFFFF
        state ^= state >> 17
        state ^= (state << 5) & 0xFFFFFFFF
        yield (state >> 8) - (1 << 24 if state >> 31 else 0)


def element(kind, next_draw, row, column):
    if kind == "uniform":
        return next_draw() / 2**23
    if kind == "positive":
        return abs(next_draw()) / 2**23
    if kind == "constant":
        return -0.25 if column % 2 else 0.25
    if kind == "ties":
        return (next_draw() >> 16) / 16
    bell = (next_draw() + next_draw() + next_draw() + next_draw()) / 2**25
    if kind == "outliers":
        return bell * (64 if (row * 7 + column) % 97 == 0 else 1)
    if kind == "zeros":
        return bell if (row >> 5) % 2 else (-0.0 if (row + column) % 2 else 0.0)
    if kind == "subnormal":
        return bell * 2.0 ** -(118 + (row >> 4) % 32)
    return bell


def weight(spec):
    source = draws(spec["seed"], 4 * spec["k"] * spec["n"])
    rows = [
        [element(spec["kind"], lambda: next(source), row, column) for column in range(spec["n"])]
        for row in range(spec["k"])
    ]
    return np.array(rows, dtype=np.float64).astype(np.float32).astype(spec["dtype"])


def specs():
    kinds = [(kind, SHAPES[(i * SHAPES_PER_KIND + j) % len(SHAPES)], "float32") for i, kind in enumerate(KINDS) for j in range(SHAPES_PER_KIND)]
    halves = [("bell", (83, 2), "float16"), ("outliers", (100, 64), "float16"), ("ties", (64, 32), "float16"), ("zeros", (257, 19), "float16")]
    return [
        {"name": f"w{i}", "kind": kind, "k": k, "n": n, "seed": 2463534242 + i, "dtype": dtype}
        for i, (kind, (k, n), dtype) in enumerate([*kinds, ("bell", (512, 33), "float32"), *halves])
    ]


def model_of(weights):
    nodes, inputs, outputs = [], [], []
    for name, value in weights.items():
        kind = helper.np_dtype_to_tensor_dtype(value.dtype)
        inputs.append(helper.make_tensor_value_info(f"x_{name}", kind, ["m", value.shape[0]]))
        outputs.append(helper.make_tensor_value_info(f"y_{name}", kind, ["m", value.shape[1]]))
        nodes.append(helper.make_node("MatMul", [f"x_{name}", name], [f"y_{name}"], name=f"node_{name}"))
    tensors = [numpy_helper.from_array(value, name) for name, value in weights.items()]
    graph = helper.make_graph(nodes, "weights", inputs, outputs, tensors)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])


def digests(model, wanted):
    """By tensor name: dtype, dims and SHA-256 of the raw bytes of every initializer that `wanted` does not hold."""
    found = {}
    for tensor in model.graph.initializer:
        if tensor.name in wanted:
            continue
        data = tensor.raw_data or numpy_helper.to_array(tensor).tobytes()
        found[tensor.name] = [TensorProto.DataType.Name(tensor.data_type), list(tensor.dims), hashlib.sha256(data).hexdigest()]
    return found


def attributes(node):
    return {a.name: helper.get_attribute_value(a) for a in node.attribute}


def nodes_of(model, op):
    return {n.name: {"inputs": list(n.input), "attributes": attributes(n)} for n in model.graph.node if n.op_type == op}


def nbits(model, bits, block, symmetric):
    copy = onnx.ModelProto.FromString(model.SerializeToString())
    tool = MatMulNBitsQuantizer(copy, bits=bits, block_size=block, is_symmetric=symmetric, accuracy_level=None)
    tool.process()
    kept = {t.name for t in model.graph.initializer}
    result = {"bits": bits, "block": block, "symmetric": symmetric, "tensors": digests(tool.model.model, kept)}
    return result, nodes_of(tool.model.model, "MatMulNBits")


def bnb4(model, kind):
    copy = onnx.ModelProto.FromString(model.SerializeToString())
    tool = MatMulBnb4Quantizer(copy, {"fp4": 0, "nf4": 1}[kind], 64)
    tool.process()
    kept = {t.name for t in model.graph.initializer}
    return {"codebook": kind, "tensors": digests(tool.model.model, kept)}, nodes_of(tool.model.model, "MatMulBnb4")


def versions():
    return {"onnxruntime": onnxruntime.__version__, "onnx": onnx.__version__, "numpy": np.__version__}


def golden():
    listed = specs()
    weights = {spec["name"]: weight(spec) for spec in listed}
    everything = model_of(weights)
    large = model_of({"w24": weights["w24"]})
    runs = [nbits(everything, bits, 32, symmetric) for bits in (2, 4, 8) for symmetric in (True, False)]
    runs += [nbits(large, bits, block, symmetric) for bits in (2, 4, 8) for block in (16, 64, 128, 256) for symmetric in (True, False)]
    codebooks = [bnb4(everything, kind) for kind in ("nf4", "fp4")]
    sample = {key: value for _, nodes in [runs[2], runs[3], codebooks[0]] for key, value in list(nodes.items())[:1]}
    return {"versions": versions(), "weights": listed, "nodes": sample, "nbits": [r for r, _ in runs], "bnb4": [r for r, _ in codebooks]}


def of_model(path):
    model = onnx.load(path)
    return {
        "versions": versions(),
        "nbits": [nbits(model, 4, 32, True)[0], nbits(model, 4, 32, False)[0], nbits(model, 8, 32, True)[0]],
        "bnb4": [bnb4(model, "nf4")[0]],
    }


def write(path, value):
    """One tensor a line: readable, and a change shows as that line."""
    text = json.dumps(value, separators=(",", ":"))
    pathlib.Path(path).write_text(text.replace('"],"', '"],\n"').replace('},{', '},\n{') + "\n")


if __name__ == "__main__":
    here = pathlib.Path(__file__).resolve().parents[2] / "tests/golden/q4.json"
    if len(sys.argv) == 3:
        write(sys.argv[2], of_model(sys.argv[1]))
    else:
        write(here, golden())
