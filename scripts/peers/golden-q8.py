"""Writes tests/golden/q8.json: SHA-256 of every tensor that onnxruntime's Python quantizer (dynamic, IntegerOps, with
the settings of the transformers.js scripts) and its float16 converter make of small models. Weights come from integer
arithmetic, so that src/lowering/dynamic.case.ts can rebuild the same models.

Run: python scripts/peers/golden-q8.py   (needs onnxruntime 1.30.0, onnx, numpy)
"""
import hashlib
import json
import pathlib

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import QuantizationMode, QuantType
from onnxruntime.quantization.onnx_quantizer import ONNXQuantizer
from onnxruntime.quantization.registry import IntegerOpsRegistry
from onnxruntime.transformers.float16 import convert_np_to_float16


def words(seed, count):
    """xorshift32 (Marsaglia 2003, shifts 13, 17, 5)."""
    state, out = seed, np.empty(count, dtype=np.uint32)
    for i in range(count):
        state ^= (state << 13) & 0xFFFFFFFF
        state ^= state >> 17
        state ^= (state << 5) & 0xFFFFFFFF
        out[i] = state
    return out


def weights(shape, seed, shift=16):
    """Multiples of 2^-shift in [-2^(15-shift), 2^(15-shift))."""
    count = int(np.prod(shape))
    values = (words(seed, count) >> 16).astype(np.int64) - 32768
    return (values / 2.0**shift).astype(np.float32).reshape(shape)


def special():
    """Columns: all zero, constant, outlier, positive, below the smallest normal number, negative."""
    w = weights([16, 6], 11)
    w[:, 0] = 0
    w[:, 1] = 0.375
    w[3, 2] = 1000
    w[:, 3] = np.abs(w[:, 3])
    w[:, 4] = np.float32(2.0**-140)
    w[:, 5] = -np.abs(w[:, 5])
    return w


def ties():
    """Halves up to 127: with scale 1 every odd half is a tie."""
    w = np.floor(weights([16, 8], 12, shift=7)).astype(np.float32) / 2
    w[0, :] = 127
    return w


info = helper.make_tensor_value_info
node = helper.make_node


def model(nodes, tensors, inputs, outputs):
    graph = helper.make_graph(
        nodes,
        "graph",
        [info(name, dtype, shape) for name, dtype, shape in inputs],
        [info(name, TensorProto.FLOAT, None) for name in outputs],
        [numpy_helper.from_array(value, name) for name, value in tensors.items()],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    made.ir_version = 8
    return made


def matmul(w):
    return model([node("MatMul", ["x", "w"], ["y"], "mm")], {"w": w}, [("x", 1, [None, w.shape[-2]])], ["y"])


def branches():
    then = helper.make_graph(
        [node("MatMul", ["x", "w1"], ["t"], "inner")],
        "then",
        [],
        [info("t", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(weights([8, 6], 21), "w1")],
    )
    other = helper.make_graph(
        [node("MatMul", ["x", "w2"], ["e"], "outer")], "else", [], [info("e", TensorProto.FLOAT, None)]
    )
    return model(
        [node("If", ["c"], ["y"], "choose", then_branch=then, else_branch=other)],
        {"w2": weights([8, 6], 22)},
        [("x", 1, [4, 8]), ("c", TensorProto.BOOL, [])],
        ["y"],
    )


CASES = {
    "matmul": lambda: matmul(weights([16, 12], 1)),
    "matmul-batched": lambda: model(
        [node("MatMul", ["x", "w"], ["y"], "mm")], {"w": weights([3, 16, 8], 2)}, [("x", 1, [3, 4, 16])], ["y"]
    ),
    "special": lambda: matmul(special()),
    "ties": lambda: matmul(ties()),
    "zeros": lambda: matmul(np.zeros([8, 4], np.float32)),
    "gemm-transposed": lambda: model(
        [node("Gemm", ["x", "w", "b"], ["y"], "gemm", transB=1)],
        {"w": weights([10, 16], 3), "b": weights([10], 4)},
        [("x", 1, [None, 16])],
        ["y"],
    ),
    "gemm": lambda: model(
        [node("Gemm", ["x", "w"], ["y"], "gemm")], {"w": weights([16, 10], 5)}, [("x", 1, [None, 16])], ["y"]
    ),
    "conv": lambda: model(
        [node("Conv", ["x", "w", "b"], ["y"], "conv", pads=[1, 1, 1, 1], kernel_shape=[3, 3])],
        {"w": weights([4, 3, 3, 3], 6), "b": weights([4], 7)},
        [("x", 1, [1, 3, 8, 8])],
        ["y"],
    ),
    "gather-matmul": lambda: model(
        [
            node("Gather", ["table", "ids"], ["rows"], "embed"),
            node("Relu", ["rows"], ["r"], "relu"),
            node("MatMul", ["r", "w"], ["y"], "mm"),
        ],
        {"table": weights([20, 16], 8), "w": weights([16, 8], 9)},
        [("ids", TensorProto.INT64, [None])],
        ["y"],
    ),
    "branches": branches,
    "shared": lambda: model(
        [node("MatMul", ["x", "w"], ["y"], "first"), node("MatMul", ["z", "w"], ["v"], "second")],
        {"w": weights([16, 12], 10)},
        [("x", 1, [None, 16]), ("z", 1, [None, 16])],
        ["y", "v"],
    ),
}


def graphs(graph):
    yield graph
    for one in graph.node:
        for attribute in one.attribute:
            if attribute.type == onnx.AttributeProto.GRAPH:
                yield from graphs(attribute.g)


def digest(array):
    return hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()


def quantized(made, weight_type, per_channel, reduce_range):
    quantizer = ONNXQuantizer(
        made,
        per_channel,
        reduce_range,
        mode=QuantizationMode.IntegerOps,
        static=False,
        weight_qType=weight_type,
        activation_qType=QuantType.QUInt8,
        tensors_range=None,
        nodes_to_quantize=[],
        nodes_to_exclude=[],
        op_types_to_quantize=set(IntegerOpsRegistry.keys()),
        extra_options=dict(EnableSubgraph=True, MatMulConstBOnly=True),
    )
    quantizer.quantize_model()
    tensors = {}
    for graph in graphs(quantizer.model.model.graph):
        for initializer in graph.initializer:
            if not initializer.name.endswith(("_quantized", "_scale", "_zero_point")):
                continue
            array = numpy_helper.to_array(initializer)
            tensors[initializer.name] = {"dtype": str(array.dtype), "shape": list(array.shape), "sha256": digest(array)}
    return tensors


def q8():
    settings = [
        (name, kind, per_channel, reduce_range)
        for name, kind in (("int8", QuantType.QInt8), ("uint8", QuantType.QUInt8))
        for per_channel in (False, True)
        for reduce_range in (False, True)
    ]
    return [
        {
            "case": case,
            "dtype": name,
            "perChannel": per_channel,
            "reduceRange": reduce_range,
            "tensors": quantized(build(), kind, per_channel, reduce_range),
        }
        for case, build in CASES.items()
        for name, kind, per_channel, reduce_range in settings
    ]


def float16_inputs():
    """Random bit patterns without NaN, and neighbours of the limits of half precision."""
    bits = words(31, 4096)
    bits[(bits & 0x7F800000) == 0x7F800000] &= 0x3FFFFFFF
    edges = [0.0, -0.0, 65504, 65519, 65520, 65536, 1e4, 1.0001e4, 1e-7, 6e-8, 5.96e-8, 2.0**-24, 2.0**-25, 2.0**-26, 2.0**-14]
    values = np.array(edges + [-x for x in edges] + [np.inf, -np.inf, 3.4e38, -3.4e38], dtype=np.float32)
    middle = weights([4096], 32, shift=14)
    return {"bits": bits.view(np.float32), "edges": values, "weights": middle}


def float16():
    np.seterr(all="ignore")
    clamps = {"scripts": (1e-7, 1e4), "onnxruntime": (5.96e-08, 65504.0)}
    return [
        {"input": name, "clamp": clamp, "min": low, "max": high, "sha256": digest(convert_np_to_float16(values, low, high))}
        for name, values in float16_inputs().items()
        for clamp, (low, high) in clamps.items()
    ]


golden = {
    "onnxruntime": onnxruntime.__version__,
    "numpy": np.__version__,
    "inputs": {case: {i.name: digest(numpy_helper.to_array(i)) for g in graphs(build().graph) for i in g.initializer} for case, build in CASES.items()},
    "q8": q8(),
    "float16": float16(),
}
target = pathlib.Path(__file__).resolve().parents[2] / "tests" / "golden" / "q8.json"
target.write_text(json.dumps(golden, indent=1) + "\n")
print(f"{target}: {len(golden['q8'])} quantized models, {len(golden['float16'])} float16 arrays")
