"""Times ops between quantized layers, in integers and in float: which of them are worth running in integers.

Chains of a 1x1 convolution (or a matrix product) and one op, one thread, medians of interleaved runs.
Usage: python scripts/peers/qdq-speed.py
"""
import time

import numpy as np
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper

RNG = np.random.default_rng(0)
IMAGE, STACK, DEPTH, ROUNDS = (1, 64, 28, 28), (1, 128, 256), 6, 25


class Graph:
    def __init__(self):
        self.nodes, self.tensors, self.names = [], [], 0

    def const(self, array):
        self.names += 1
        self.tensors.append(numpy_helper.from_array(np.asarray(array), f"c{self.names}"))
        return f"c{self.names}"

    def op(self, op, *inputs, **attributes):
        self.names += 1
        self.nodes.append(helper.make_node(op, inputs, [f"v{self.names}"], **attributes))
        return f"v{self.names}"

    def qdq(self, value, scale=0.03, zero=128, seen_as=None):
        zero = self.const(np.uint8(zero))
        codes = self.op("QuantizeLinear", value, self.const(np.float32(scale)), zero)
        return self.op("DequantizeLinear", codes, self.const(np.float32(seen_as or scale)), zero)

    def weight(self, shape, axis):
        codes = self.const(RNG.integers(-127, 128, shape, dtype=np.int8))
        parts = np.full(shape[axis], 0.002, np.float32), np.zeros(shape[axis], np.int8)
        return self.op("DequantizeLinear", codes, *map(self.const, parts), axis=axis)

    def conv(self, x, quantized):
        shape = (64, 64, 1, 1)
        w = self.weight(shape, 0) if quantized else self.const(RNG.normal(size=shape).astype(np.float32))
        return self.op("Conv", x, w)

    def matmul(self, x, quantized):
        shape = (256, 256)
        w = self.weight(shape, 1) if quantized else self.const(RNG.normal(size=shape).astype(np.float32))
        return self.op("MatMul", x, w)


def session(shape, layer, tail, quantized):
    graph = Graph()
    value = graph.qdq("x") if quantized else "x"
    for _ in range(DEPTH):
        value = tail(graph, layer(graph, value, quantized))
    outputs = [helper.make_tensor_value_info(value, TensorProto.FLOAT, None)]
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)]
    body = helper.make_graph(graph.nodes, "chain", inputs, outputs, graph.tensors)
    model = helper.make_model(body, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
    options = ort.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 3
    return ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def plain(op, **attributes):
    return lambda g, x: g.op(op, x, **attributes)


def between(op, **attributes):
    return lambda g, x: g.qdq(g.op(op, g.qdq(x), **attributes))


def hard_swish_in_integers(g, x):
    """x * clamp(x + 3, 0, 6) / 6: the grid clamps, and its codes are read as sixths."""
    x = g.qdq(x)
    gate = g.qdq(g.op("Add", x, g.op("DequantizeLinear", g.const(np.uint8(255)), g.const(np.float32(3 / 255)))),
                 6 / 255, 0, 1 / 255)
    return g.qdq(g.op("Mul", x, gate))


def silu_in_integers(g, x):
    x = g.qdq(x)
    return g.qdq(g.op("Mul", x, g.qdq(g.op("Sigmoid", x), 1 / 255, 0)))


def depthwise(g, x):
    weight = g.const(np.full((64, 1, 3, 3), 127, np.int8)), g.const(np.full(64, 1 / 127 / 9, np.float32))
    w = g.op("DequantizeLinear", *weight, g.const(np.zeros(64, np.int8)), axis=0)
    return g.qdq(g.op("Conv", g.qdq(x), w, group=64, pads=[1, 1, 1, 1]))


def biased(shape, product=False, tail=False):
    """MatMul and bias, then Tanh; Q/DQ behind the product, behind the bias, or nowhere."""

    def build(g, x):
        x = g.qdq(x) if product else x
        x = g.op("Add", x, g.const(np.ones(shape, np.float32)))
        return g.qdq(g.op("Tanh", g.qdq(x) if tail else x))

    return build


POOL = {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1], "count_include_pad": 1}
CONV = IMAGE, Graph.conv
MATMUL = STACK, Graph.matmul
ROWS = [
    ("convolution alone, float", *CONV, lambda g, x: x, False),
    ("convolution alone, integers", *CONV, lambda g, x: g.qdq(x), True),
    ("HardSwish, float", *CONV, plain("HardSwish"), False),
    ("HardSwish, Q only behind it", *CONV, lambda g, x: g.qdq(g.op("HardSwish", x)), True),
    ("HardSwish, Q/DQ around it", *CONV, between("HardSwish"), True),
    ("HardSwish, in integers", *CONV, hard_swish_in_integers, True),
    ("SiLU, float", *CONV, lambda g, x: g.op("Mul", x, g.op("Sigmoid", x)), False),
    ("SiLU, in integers", *CONV, silu_in_integers, True),
    *[(f"{op}, {kind}", *CONV, make(op), kind != "float")
      for op in ("Sigmoid", "LeakyRelu", "Tanh", "Gelu", "Softmax")
      for kind, make in (("float", plain), ("Q/DQ around it", between))],
    ("AveragePool 3x3, float", *CONV, plain("AveragePool", **POOL), False),
    ("AveragePool 3x3, Q/DQ around it", *CONV, between("AveragePool", **POOL), True),
    ("AveragePool 3x3 as depthwise convolution", *CONV, depthwise, True),
    ("MatMul + bias, Tanh, float", *MATMUL, lambda g, x: g.op("Tanh", g.op("Add", x, g.const(np.ones(256, np.float32)))), False),
    ("MatMul + bias [N], no Q", *MATMUL, biased(256), True),
    ("MatMul + bias [1,1,N], no Q", *MATMUL, biased((1, 1, 256)), True),
    ("MatMul, Q/DQ, + bias [N]", *MATMUL, biased(256, product=True), True),
    ("MatMul + bias [N], Q/DQ", *MATMUL, biased(256, tail=True), True),
]


def main():
    sessions = {label: (session(*rest), {"x": RNG.normal(size=rest[0]).astype(np.float32)}) for label, *rest in ROWS}
    times = {label: [] for label in sessions}
    for _ in range(ROUNDS):
        for label, (runner, feeds) in sessions.items():
            start = time.perf_counter()
            runner.run(None, feeds)
            times[label].append((time.perf_counter() - start) * 1e3)
    print(f"onnxruntime {ort.__version__}, CPU, one thread, {DEPTH} layers, milliseconds: median, fastest")
    for label, taken in times.items():
        print(f"{label:<45} {np.median(taken[3:]):8.3f} {min(taken):8.3f}")


main()
