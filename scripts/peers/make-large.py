"""Makes a transformer-like float32 ONNX model of 100 million parameters (402 MB), to measure speed and memory with.

  python scripts/peers/make-large.py FOLDER

FOLDER gets model.onnx and, beside it, its weights as external data in model.onnx.data. Input input_ids int64 [1, sequence];
output hidden float32 [1, sequence, 768]. Twelve layers: attention with one head (four MatMul weights [768, 768]), then
MatMul [768, 3072], Gelu, MatMul [3072, 768]; an embedding of 20,000 rows. Weights are random: for speed, not for accuracy.
Needs onnx, numpy.
"""

import sys
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

LAYERS, WIDTH, INNER, WORDS = 12, 768, 3072, 20_000
random = np.random.default_rng(1)
nodes, weights = [], []


def constant(name, values):
    weights.append(numpy_helper.from_array(np.asarray(values, dtype=np.float32), name))
    return name


def op(kind, inputs, output, **attributes):
    nodes.append(helper.make_node(kind, inputs, [output], name=output, **attributes))
    return output


def linear(x, name, rows, columns):
    weight = random.standard_normal((rows, columns), dtype=np.float32) / np.float32(np.sqrt(rows))
    return op("MatMul", [x, constant(f"{name}.weight", weight)], name)


def norm(x, name):
    scale, bias = constant(f"{name}.scale", np.ones(WIDTH)), constant(f"{name}.bias", np.zeros(WIDTH))
    return op("LayerNormalization", [x, scale, bias], name, axis=-1)


def attention(x, name):
    q, k, v = (linear(x, f"{name}.{part}", WIDTH, WIDTH) for part in "qkv")
    scores = op("MatMul", [q, op("Transpose", [k], f"{name}.kt", perm=[0, 2, 1])], f"{name}.scores")
    scaled = op("Mul", [scores, "root"], f"{name}.scaled")
    mixed = op("MatMul", [op("Softmax", [scaled], f"{name}.softmax", axis=-1), v], f"{name}.mixed")
    return linear(mixed, f"{name}.out", WIDTH, WIDTH)


def gelu(x, name):
    erf = op("Erf", [op("Mul", [x, "half_root"], f"{name}.scaled")], f"{name}.erf")
    return op("Mul", [op("Mul", [x, "half"], f"{name}.half"), op("Add", [erf, "one"], f"{name}.one")], name)


def layer(x, name):
    x = op("Add", [x, attention(norm(x, f"{name}.norm1"), f"{name}.attention")], f"{name}.add1")
    inner = gelu(linear(norm(x, f"{name}.norm2"), f"{name}.up", WIDTH, INNER), f"{name}.gelu")
    return op("Add", [x, linear(inner, f"{name}.down", INNER, WIDTH)], f"{name}.add2")


def main(folder):
    for name, value in {"root": WIDTH**-0.5, "half_root": 0.5**0.5, "half": 0.5, "one": 1.0}.items():
        constant(name, value)
    table = constant("embedding", random.standard_normal((WORDS, WIDTH), dtype=np.float32))
    x = op("Gather", [table, "input_ids"], "embedded", axis=0)
    for index in range(LAYERS):
        x = layer(x, f"layer{index}")
    op("Identity", [norm(x, "final_norm")], "hidden")
    graph = helper.make_graph(
        nodes, "large",
        [helper.make_tensor_value_info("input_ids", TensorProto.INT64, [1, "sequence"])],
        [helper.make_tensor_value_info("hidden", TensorProto.FLOAT, [1, "sequence", WIDTH])],
        weights,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    out = Path(folder)
    out.mkdir(parents=True, exist_ok=True)
    (out / "model.onnx.data").unlink(missing_ok=True)
    onnx.save(model, out / "model.onnx", save_as_external_data=True, location="model.onnx.data", size_threshold=1024)
    print(f"{sum(np.prod(weight.dims) for weight in weights) / 1e6:.1f} million parameters in {out}")


main(*sys.argv[1:])
