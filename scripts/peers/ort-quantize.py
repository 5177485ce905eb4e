"""Quantizes an ONNX model with onnxruntime's Python tools, at the setting of a fewbit scheme, and prints one JSON line.

  python scripts/peers/ort-quantize.py SCHEME MODEL.onnx OUTPUT.onnx [--external]

SCHEME: w8a8 (QDQ, activations uint8, weights int8 per channel; random numbers for its one input, whose shape must be declared),
w8a8-dynamic (per channel), q8 int8 uint8 (settings of the transformers.js scripts), MatMulNBits at accuracy level 4 as w4 (blocks
of 32, asymmetric), w4-symmetric, w8 (blocks of 128, symmetric), w8-block32; q4 (blocks of 32, symmetric, no accuracy level),
fp16, q4f16. `--external` writes weights beside the model.
The line: {"tool", "version", "scheme", "bytes", "seconds"}; seconds are those of reading, quantizing and writing, without imports.
Needs onnxruntime, onnx, numpy; time and memory of the whole process are for the caller to measure.
"""

import json
import sys
import time
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantizationMode, QuantType, quantize_dynamic, quantize_static
from onnxruntime.quantization.matmul_nbits_quantizer import MatMulNBitsQuantizer
from onnxruntime.quantization.onnx_quantizer import ONNXQuantizer
from onnxruntime.quantization.registry import IntegerOpsRegistry
from onnxruntime.quantization.shape_inference import quant_pre_process
from onnxruntime.transformers.float16 import convert_float_to_float16

CALIBRATION = 8
UNSIGNED_OPS = {"Conv", "GroupQueryAttention", "MultiHeadAttention"}


def save(model, output, external):
    extra = {"save_as_external_data": True, "location": f"{Path(output).name}.data"} if external else {}
    onnx.save(model, output, **extra)


class RandomImages(CalibrationDataReader):
    def __init__(self, model):
        value = onnx.load(model).graph.input[0]
        shape = [dim.dim_value for dim in value.type.tensor_type.shape.dim]
        numbers = np.random.default_rng(0)
        self.samples = iter([{value.name: numbers.random(shape, np.float32)} for _ in range(CALIBRATION)])

    def get_next(self):
        return next(self.samples, None)


def static(source, output, external):
    prepared = f"{output}.prepared"
    quant_pre_process(source, prepared, skip_symbolic_shape=True)
    quantize_static(
        prepared, output, RandomImages(prepared), quant_format=QuantFormat.QDQ, per_channel=True,
        activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8, use_external_data_format=external,
    )
    Path(prepared).unlink()


def dynamic(source, output, external):
    quantize_dynamic(source, output, per_channel=True, use_external_data_format=external)


def transformers_js(weight_type):
    def quantize(source, output, external):
        model = onnx.load(source)
        ops = {node.op_type for node in model.graph.node}
        kind = weight_type or (QuantType.QUInt8 if ops & UNSIGNED_OPS else QuantType.QInt8)
        quantizer = ONNXQuantizer(
            model, per_channel=True, reduce_range=True, mode=QuantizationMode.IntegerOps, static=False,
            weight_qType=kind, activation_qType=QuantType.QUInt8, tensors_range=None, nodes_to_quantize=[],
            nodes_to_exclude=[], op_types_to_quantize=list(IntegerOpsRegistry),
            extra_options={"EnableSubgraph": True, "MatMulConstBOnly": True},
        )
        quantizer.quantize_model()
        save(quantizer.model.model, output, external)

    return quantize


def nbits(source, bits, block_size, is_symmetric, accuracy_level=4):
    quantizer = MatMulNBitsQuantizer(
        onnx.load(source), bits=bits, block_size=block_size, is_symmetric=is_symmetric, accuracy_level=accuracy_level
    )
    quantizer.process()
    return quantizer.model.model


def weights_only(*setting):
    return lambda source, output, external: save(nbits(source, *setting), output, external)


def half(model):
    return convert_float_to_float16(model, keep_io_types=True)


SCHEMES = {
    "w8a8": static,
    "w8a8-dynamic": dynamic,
    "q8": transformers_js(None),
    "int8": transformers_js(QuantType.QInt8),
    "uint8": transformers_js(QuantType.QUInt8),
    "w4": weights_only(4, 32, False),
    "w4-symmetric": weights_only(4, 32, True),
    "w8": weights_only(8, 128, True),
    "w8-block32": weights_only(8, 32, True),
    "q4": weights_only(4, 32, True, None),
    "fp16": lambda source, output, external: save(half(onnx.load(source)), output, external),
    "q4f16": lambda source, output, external: save(half(nbits(source, 4, 32, True, None)), output, external),
}


def main(scheme, source, output, *options):
    external = "--external" in options
    began = time.perf_counter()
    SCHEMES[scheme](source, output, external)
    seconds = time.perf_counter() - began
    files = [Path(output), Path(f"{output}.data")]
    size = sum(file.stat().st_size for file in files if file.exists())
    line = {"tool": "onnxruntime", "version": onnxruntime.__version__, "scheme": scheme, "bytes": size, "seconds": round(seconds, 3)}
    print(json.dumps(line))


main(*sys.argv[1:])
