"""Prints which ops ONNX Runtime (CPU) runs in integers when they stand between DequantizeLinear and QuantizeLinear.

Every row is one small graph: float input -> Q -> DQ -> op -> Q -> DQ -> float output, uint8 activations, int8 weights
per channel with int32 bias. A row "fuses" when the optimized graph holds no Q or DQ but those at the graph's edges.
Usage: python scripts/peers/qdq-fusion.py [--markdown] [--activations uint8|int8] [--opset 17]
"""
import argparse
import os
import tempfile
from collections import Counter

import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper

RNG = np.random.default_rng(0)
CNHW = (1, 8, 8, 8)
ARGS = None


def code():
    return np.uint8 if ARGS.activations == "uint8" else np.int8


class Unit:
    """Collects the nodes and constants of one measured graph."""

    def __init__(self):
        self.nodes, self.tensors, self.inputs = [], [], []
        self.edges = 0

    def const(self, name, array):
        self.tensors.append(numpy_helper.from_array(np.asarray(array), name))
        return name

    def node(self, op, inputs, outputs=None, domain="", **attributes):
        outputs = outputs or [f"{op}_{len(self.nodes)}"]
        self.nodes.append(helper.make_node(op, inputs, outputs, domain=domain, name=outputs[0], **attributes))
        return outputs[0]

    def params(self, value, scale, zero):
        zero = zero if ARGS.activations == "uint8" else zero - 128
        return self.const(f"{value}_s", np.float32(scale)), self.const(f"{value}_z", code()(zero))

    def qdq(self, value, scale=0.03, zero=120):
        params = self.params(value, scale, zero)
        q = self.node("QuantizeLinear", [value, *params], [f"{value}_q"])
        return self.node("DequantizeLinear", [q, *params], [f"{value}_dq"])

    def input(self, shape=CNHW, scale=0.03, zero=120):
        name = f"x{len(self.inputs)}"
        self.inputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, shape))
        self.edges += 1
        return self.qdq(name, scale, zero)

    def weight(self, name, shape, axis, zero_point=True):
        codes = self.const(f"{name}_c", RNG.integers(-127, 128, shape, dtype=np.int8))
        scale = self.const(f"{name}_s", np.full(shape[axis], 0.01, np.float32))
        zero = [self.const(f"{name}_z", np.zeros(shape[axis], np.int8))] if zero_point else []
        return self.node("DequantizeLinear", [codes, scale, *zero], [f"{name}_dq"], axis=axis)

    def bias(self, name, n, input_scale=0.03):
        codes = self.const(f"{name}_c", RNG.integers(-999, 999, n, dtype=np.int32))
        scale = self.const(f"{name}_s", np.full(n, input_scale * 0.01, np.float32))
        zero = self.const(f"{name}_z", np.zeros(n, np.int32))
        return self.node("DequantizeLinear", [codes, scale, zero], [f"{name}_dq"], axis=0)


def optimize(unit, outputs, extra_outputs=()):
    graph = helper.make_graph(
        unit.nodes,
        "unit",
        unit.inputs,
        [helper.make_empty_tensor_value_info(name) for name in [*outputs, *extra_outputs]],
        unit.tensors,
    )
    opsets = [helper.make_opsetid("", ARGS.opset), helper.make_opsetid("com.microsoft", 1)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=10)
    with tempfile.TemporaryDirectory() as folder:
        options = ort.SessionOptions()
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
        options.optimized_model_filepath = os.path.join(folder, "optimized.onnx")
        options.log_severity_level = 4
        for value in model.graph.output:
            value.type.tensor_type.elem_type = TensorProto.FLOAT
        ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        return Counter(node.op_type for node in onnx.load(options.optimized_model_filepath).graph.node)


def verdict(unit, ops, outputs):
    left = Counter(ops)
    edges = {"QuantizeLinear": unit.edges, "DequantizeLinear": outputs}
    fused = all(left[op] <= count for op, count in edges.items())
    rest = {op: count for op, count in left.items() if op not in edges or count != edges[op]}
    return fused, rest


ROWS = []


def row(label, scales="own"):
    """`scales`: own = the output has its own scale, same = that of the input."""
    return lambda build: ROWS.append((label, scales, build)) or build


def simple(op, shape=CNHW, label=None, inputs=1, scales=("own", "same"), **attributes):
    for kind in scales:

        def build(u, kind=kind):
            data = [u.input(shape) for _ in range(inputs)]
            out = u.node(op, data, **attributes)
            return [u.qdq(out, *((0.03, 120) if kind == "same" else (0.05, 100)))]

        ROWS.append((label or op, kind, build))


def shaped(op, label=None, shape=CNHW, consts=(), scales=("own", "same"), domain="", **attributes):
    """One activation, then constant inputs (None = omitted)."""
    for kind in scales:

        def build(u, kind=kind):
            rest = ["" if c is None else u.const(f"c{i}", c) for i, c in enumerate(consts)]
            out = u.node(op, [u.input(shape), *rest], domain=domain, **attributes)
            return [u.qdq(out, *((0.03, 120) if kind == "same" else (0.05, 100)))]

        ROWS.append((label or op, kind, build))


def weighted(label, op, shape, weight, axis, bias, post=None, zero_point=True, out_zero=100, **attributes):
    def build(u):
        ins = [u.input(shape), u.weight("w", weight, axis, zero_point)]
        if bias:
            ins.append(u.bias("b", bias))
        out = u.node(op, ins, **attributes)
        if post:
            out = post(u, out)
        return [u.qdq(out, 0.05, out_zero)]

    ROWS.append((label, "own", build))


def clip(u, out, low=0.0, high=6.0):
    return u.node("Clip", [out, u.const("lo", np.float32(low)), u.const("hi", np.float32(high))])


def relu(u, out):
    return u.node("Relu", [out])


def hard_swish(u, out):
    return u.node("HardSwish", [out])


def add_bias(u, out):
    return u.node("Add", [out, u.const("fb", np.ones(16, np.float32))])


def float_activation(op, **attributes):
    """Conv (quantized) -> op in float -> Q: what an activation left between Conv and Q does to the Conv."""
    weighted(f"Conv -> {op}", "Conv", CNHW, (16, 8, 3, 3), 0, 16, post=lambda u, out: u.node(op, [out], **attributes))


def table():
    conv = dict(shape=CNHW, weight=(16, 8, 3, 3), axis=0, bias=16)
    weighted("Conv", "Conv", **conv)
    weighted("Conv without bias", "Conv", CNHW, (16, 8, 3, 3), 0, None)
    weighted("Conv depthwise", "Conv", CNHW, (8, 1, 3, 3), 0, 8, group=8)
    weighted("Conv 1-D", "Conv", (1, 8, 16), (16, 8, 3), 0, 16)
    weighted("Conv 3-D", "Conv", (1, 8, 6, 6, 6), (16, 8, 3, 3, 3), 0, 16)
    weighted("Conv -> Relu, zero point 0", "Conv", post=relu, out_zero=0, **conv)
    weighted("Conv -> Relu, zero point 100", "Conv", post=relu, **conv)
    weighted("Conv -> Clip(0,6), zero point 0", "Conv", post=clip, out_zero=0, **conv)
    weighted("Conv -> Clip(0,6), zero point 100", "Conv", post=clip, **conv)
    weighted("Conv -> HardSwish", "Conv", post=hard_swish, **conv)
    weighted("ConvTranspose", "ConvTranspose", CNHW, (8, 16, 2, 2), 1, 16)
    weighted("MatMul", "MatMul", (4, 32), (32, 16), 1, None)
    weighted("MatMul rank 3", "MatMul", (1, 4, 32), (32, 16), 1, None)
    weighted("MatMul without weight zero point", "MatMul", (4, 32), (32, 16), 1, None, zero_point=False)
    weighted("MatMul -> float bias Add", "MatMul", (4, 32), (32, 16), 1, None, post=add_bias)
    weighted("MatMul rank 3 -> float bias Add", "MatMul", (1, 4, 32), (32, 16), 1, None, post=add_bias)
    weighted("Gemm", "Gemm", (4, 32), (32, 16), 1, 16)
    weighted("Gemm transB", "Gemm", (4, 32), (16, 32), 0, 16, transB=1)
    weighted("Gemm transA", "Gemm", (32, 4), (32, 16), 1, 16, transA=1)
    weighted("Gemm alpha 0.5", "Gemm", (4, 32), (32, 16), 1, 16, alpha=0.5)
    weighted("Gemm without bias", "Gemm", (4, 32), (32, 16), 1, None)
    weighted("Gemm without weight zero point", "Gemm", (4, 32), (32, 16), 1, 16, zero_point=False)
    weighted("Gemm -> Relu, zero point 0", "Gemm", (4, 32), (32, 16), 1, 16, post=relu, out_zero=0)

    @row("Conv -> Q, no Q on output (end of graph)")
    def _(u):
        return [u.node("Conv", [u.input(), u.weight("w", (16, 8, 3, 3), 0), u.bias("b", 16)])]

    @row("MatMul, no Q on output")
    def _(u):
        return [u.node("MatMul", [u.input((4, 32)), u.weight("w", (32, 16), 1)])]

    @row("MatMul rank 3, no Q on output")
    def _(u):
        return [u.node("MatMul", [u.input((1, 4, 32)), u.weight("w", (32, 16), 1)])]

    @row("MatMul -> float bias Add, no Q on output")
    def _(u):
        out = u.node("MatMul", [u.input((4, 32)), u.weight("w", (32, 16), 1)])
        return [add_bias(u, out)]

    @row("MatMul rank 3 -> float bias Add, no Q on output")
    def _(u):
        out = u.node("MatMul", [u.input((1, 4, 32)), u.weight("w", (32, 16), 1)])
        return [add_bias(u, out)]

    @row("MatMul rank 3 -> float bias Add [1,1,N], no Q on output")
    def _(u):
        out = u.node("MatMul", [u.input((1, 4, 32)), u.weight("w", (32, 16), 1)])
        return [u.node("Add", [out, u.const("fb", np.ones((1, 1, 16), np.float32))])]

    @row("Gemm, no Q on output")
    def _(u):
        return [u.node("Gemm", [u.input((4, 32)), u.weight("w", (32, 16), 1), u.bias("b", 16)])]

    @row("Gemm, float bias")
    def _(u):
        ins = [u.input((4, 32)), u.weight("w", (32, 16), 1), u.const("fb", np.ones(16, np.float32))]
        return [u.qdq(u.node("Gemm", ins), 0.05, 100)]

    @row("Conv, float bias")
    def _(u):
        ins = [u.input(), u.weight("w", (16, 8, 3, 3), 0), u.const("fb", np.ones(16, np.float32))]
        return [u.qdq(u.node("Conv", ins), 0.05, 100)]

    @row("MatMul of two activations")
    def _(u):
        return [u.qdq(u.node("MatMul", [u.input((2, 4, 32)), u.input((2, 32, 4))]), 0.05, 100)]

    @row("MatMul -> Q/DQ -> Add of quantized bias")
    def _(u):
        out = u.qdq(u.node("MatMul", [u.input((1, 4, 32)), u.weight("w", (32, 16), 1)]), 0.05, 100)
        bias = u.node("DequantizeLinear", [u.const("bc", np.ones(16, code())), *u.params("bias", 0.01, 0)])
        return [u.qdq(u.node("Add", [out, bias]), 0.05, 100)]

    for op in ("Add", "Mul", "Sub", "Div", "Min", "Max", "Pow", "PRelu", "Mod"):
        simple(op, inputs=2, label=f"{op} of two activations", scales=("own",))
    simple("Sum", inputs=2, scales=("own",))
    simple("Mean", inputs=2, scales=("own",))

    for op in ("Add", "Mul", "Sub", "Div"):

        @row(f"{op} by quantized constant")
        def _(u, op=op):
            const = u.node("DequantizeLinear", [u.const("k", np.full((8, 1, 1), 7, code())), *u.params("k", 0.01, 0)])
            return [u.qdq(u.node(op, [u.input(), const]), 0.05, 100)]

        @row(f"{op} by float constant")
        def _(u, op=op):
            return [u.qdq(u.node(op, [u.input(), u.const("k", np.ones((8, 1, 1), np.float32))]), 0.05, 100)]

    for op in ("Relu", "LeakyRelu", "Elu", "Selu", "Celu", "Sigmoid", "Tanh", "HardSigmoid", "HardSwish", "Softplus",
               "Softsign", "Erf", "Exp", "Log", "Sqrt", "Abs", "Neg", "Floor", "Ceil", "Round", "Reciprocal", "Sign",
               "Sin", "Cos", "Mish", "ThresholdedRelu"):
        simple(op, scales=("own",))
    if ARGS.opset >= 20:
        simple("Gelu", scales=("own",))
    shaped("Gelu", label="com.microsoft Gelu", domain="com.microsoft", scales=("own",))
    shaped("Clip", consts=(np.float32(0), np.float32(6)))
    simple("Relu", label="Relu", scales=("same",))
    simple("Softmax", shape=(4, 32), axis=-1, scales=("own",))
    simple("LogSoftmax", shape=(4, 32), axis=-1, scales=("own",))
    simple("Hardmax", shape=(4, 32), axis=-1, scales=("own",))

    simple("MaxPool", kernel_shape=[2, 2], strides=[2, 2])
    simple("MaxPool", shape=(1, 8, 16), label="MaxPool 1-D", kernel_shape=[2], strides=[2])
    simple("AveragePool", kernel_shape=[2, 2], strides=[2, 2])
    simple("GlobalAveragePool")
    simple("GlobalMaxPool")
    simple("LpPool", kernel_shape=[2, 2], scales=("own",))
    for op in ("ReduceMean", "ReduceSum", "ReduceMax", "ReduceMin", "ReduceProd", "ReduceL2"):
        if op == "ReduceSum" or ARGS.opset >= 18:
            shaped(op, consts=(np.array([2, 3]),), keepdims=1)
        else:
            simple(op, axes=[2, 3], keepdims=1)

    simple("Flatten")
    simple("Transpose", perm=[0, 2, 3, 1])
    shaped("Reshape", consts=(np.array([1, -1]),))
    shaped("Squeeze", consts=(np.array([0]),))
    shaped("Unsqueeze", consts=(np.array([0]),))
    shaped("Slice", consts=(np.array([0]), np.array([4]), np.array([1]), np.array([1])))
    shaped("Gather", consts=(np.array([0, 2]),), axis=1)
    shaped("GatherElements", consts=(np.zeros(CNHW, np.int64),), axis=1)
    shaped("GatherND", consts=(np.array([[0, 1]]),))
    shaped("Expand", consts=(np.array([2, 8, 8, 8]),))
    shaped("Tile", consts=(np.array([1, 2, 1, 1]),))
    shaped("Pad", consts=(np.array([0, 0, 1, 1, 0, 0, 1, 1]),), label="Pad constant")
    shaped("Pad", consts=(np.array([0, 0, 1, 1, 0, 0, 1, 1]),), label="Pad reflect", mode="reflect")
    shaped("Pad", consts=(np.array([0, 0, 1, 1, 0, 0, 1, 1]),), label="Pad edge", mode="edge")
    shaped("Resize", label="Resize nearest", consts=(None, np.array([1, 1, 2, 2], np.float32)), mode="nearest")
    shaped("Resize", label="Resize linear", consts=(None, np.array([1, 1, 2, 2], np.float32)), mode="linear")
    shaped("Resize", label="Resize linear align_corners", consts=(None, np.array([1, 1, 2, 2], np.float32)),
           mode="linear", coordinate_transformation_mode="align_corners")
    shaped("Resize", label="Resize cubic", consts=(None, np.array([1, 1, 2, 2], np.float32)), mode="cubic")
    simple("DepthToSpace", blocksize=2)
    simple("SpaceToDepth", blocksize=2)
    simple("Identity")
    shaped("CumSum", consts=(np.int64(1),), scales=("own",))
    shaped("Trilu", shape=(8, 8))
    shaped("ScatterND", consts=(np.array([[0, 1]]), np.zeros((1, 8, 8), np.float32)))

    for kind in ("own", "same"):
        params = (0.03, 120) if kind == "same" else (0.05, 100)

        @row("Concat", kind)
        def _(u, params=params):
            return [u.qdq(u.node("Concat", [u.input(), u.input()], axis=1), *params)]

        @row("Split", kind)
        def _(u, params=params):
            extra = {"num_outputs": 2} if ARGS.opset >= 18 else {}
            u.node("Split", [u.input()], ["s0", "s1"], axis=1, **extra)
            return [u.qdq("s0", *params), u.qdq("s1", *params)]

        @row("Where", kind)
        def _(u, params=params):
            cond = u.const("cond", np.tile(np.array([True, False]), 256).reshape(CNHW))
            return [u.qdq(u.node("Where", [cond, u.input(), u.input()]), *params)]

    @row("Relu, zero point 0")
    def _(u):
        return [u.qdq(u.node("Relu", [u.input()]), 0.05, 0)]

    @row("Clip(0,6), scale 6/255, zero point 0")
    def _(u):
        return [u.qdq(clip(u, u.input()), 6 / 255, 0)]

    @row("Conv -> Clip(0,6), scale 6/255, zero point 0")
    def _(u):
        out = u.node("Conv", [u.input(), u.weight("w", (16, 8, 3, 3), 0), u.bias("b", 16)])
        return [u.qdq(clip(u, out), 6 / 255, 0)]

    @row("Pad with quantized constant", "same")
    def _(u):
        zero = u.node("DequantizeLinear", [u.const("kc", code()(120 if ARGS.activations == "uint8" else -8)), *u.params("k", 0.03, 120)])
        return [u.qdq(u.node("Pad", [u.input(), u.const("p", np.array([0, 0, 1, 1, 0, 0, 1, 1])), zero]), 0.03, 120)]

    @row("TopK")
    def _(u):
        u.node("TopK", [u.input(), u.const("k", np.array([2]))], ["t0", "t1"])
        return [u.qdq("t0")]

    @row("HardSwish as Add(3), saturating Q/DQ, Mul")
    def _(u):
        x = u.input()
        three = u.node("DequantizeLinear", [u.const("kc", code()(255 if ARGS.activations == "uint8" else 127)), *u.params("k", 3 / 255, 0)])
        t = u.node("QuantizeLinear", [u.node("Add", [x, three]), *u.params("t", 6 / 255, 0)])
        gate = u.node("DequantizeLinear", [t, *u.params("g", 1 / 255, 0)])
        return [u.qdq(u.node("Mul", [x, gate]), 0.05, 100)]

    @row("Sigmoid, scale 1/256")
    def _(u):
        return [u.qdq(u.node("Sigmoid", [u.input()]), 1 / 256, 0)]

    @row("Conv shared input with float consumer")
    def _(u):
        x = u.input()
        u.edges = 1
        a = u.qdq(u.node("Conv", [x, u.weight("w", (8, 8, 1, 1), 0), u.bias("b", 8)], ["a"]), 0.05, 100)
        return [a, u.node("Tanh", [x], ["tanh_dq"])]

    @row("ArgMax, no Q on output")
    def _(u):
        return [u.node("Cast", [u.node("ArgMax", [u.input()], axis=1)], to=TensorProto.FLOAT)]

    norm = lambda n: (np.ones(n, np.float32), np.zeros(n, np.float32))
    shaped("InstanceNormalization", consts=norm(8), scales=("own",))
    shaped("BatchNormalization", consts=(*norm(8), *reversed(norm(8))), scales=("own",))
    shaped("LayerNormalization", consts=norm(8), scales=("own",), shape=(4, 8))
    shaped("LpNormalization", scales=("own",), shape=(4, 8))
    simple("LRN", size=3, scales=("own",))

    @row("x * Sigmoid(x), all quantized")
    def _(u):
        x = u.input()
        s = u.qdq(u.node("Sigmoid", [x]), 1 / 255, 0)
        return [u.qdq(u.node("Mul", [x, s]), 0.05, 100)]

    @row("x * HardSigmoid(x), all quantized")
    def _(u):
        x = u.input()
        s = u.qdq(u.node("HardSigmoid", [x], alpha=1 / 6), 1 / 255, 0)
        return [u.qdq(u.node("Mul", [x, s]), 0.05, 100)]

    @row("x * HardSigmoid(x), HardSigmoid float between")
    def _(u):
        x = u.input()
        return [u.qdq(u.node("Mul", [x, u.node("HardSigmoid", [x], alpha=1 / 6)]), 0.05, 100)]

    @row("residual: Conv + Conv -> Add -> Relu, zero point 0")
    def _(u):
        x = u.input()
        a = u.qdq(u.node("Conv", [x, u.weight("w", (8, 8, 1, 1), 0), u.bias("b", 8)], ["a"]), 0.05, 100)
        u.edges = 1
        return [u.qdq(u.node("Relu", [u.node("Add", [a, x])]), 0.05, 0)]

    @row("LSTM")
    def _(u):
        w = u.const("w", RNG.normal(size=(1, 32, 8)).astype(np.float32))
        r = u.const("r", RNG.normal(size=(1, 32, 8)).astype(np.float32))
        return [u.qdq(u.node("LSTM", [u.input((4, 1, 8)), w, r], hidden_size=8), 0.05, 100)]

    @row("Einsum")
    def _(u):
        return [u.qdq(u.node("Einsum", [u.input((4, 8)), u.input((8, 4))], equation="ij,jk->ik"), 0.05, 100)]

    @row("MatMul with weight Transpose(DQ)")
    def _(u):
        w = u.node("Transpose", [u.weight("w", (16, 32), 0)], perm=[1, 0])
        return [u.qdq(u.node("MatMul", [u.input((4, 32)), w]), 0.05, 100)]


def main():
    global ARGS
    parser = argparse.ArgumentParser()
    parser.add_argument("--activations", default="uint8", choices=["uint8", "int8"])
    parser.add_argument("--opset", type=int, default=17)
    ARGS = parser.parse_args()
    table()
    print(f"onnxruntime {ort.__version__}, CPU, {ARGS.activations} activations, int8 weights, opset {ARGS.opset}")
    print(f"{'op':<48} {'scale':<5} {'fuses':<6} what is left besides Q and DQ at the edges")
    for label, scales, build in ROWS:
        unit = Unit()
        try:
            outputs = build(unit)
            fused, rest = verdict(unit, optimize(unit, outputs), sum(o.endswith("_dq") for o in outputs))
            print(f"{label:<48} {scales:<5} {'yes' if fused else 'no':<6} {dict(sorted(rest.items()))}")
        except Exception as error:  # a kernel or type the engine lacks is a result too
            print(f"{label:<48} {scales:<5} {'error':<6} {str(error).splitlines()[0][:110]}")


main()
