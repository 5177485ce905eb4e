"""Quantizes a float .tflite with Google's Python tools, at the setting of a fewbit scheme, and prints one JSON line.

  python scripts/peers/tflite-quantize.py TOOL SCHEME[:ALGORITHM] MODEL.tflite OUTPUT.tflite [CALIBRATION.npy]

TOOL: ai-edge-quantizer or tflite-converter (TensorFlow's TFLiteConverter, which reads no .tflite: the network is rebuilt in Keras
from the file's own tensors and checked against it first). SCHEME, for both: w8a8, w8a8-int8 (inputs and outputs are int8 as well),
w8a16, w8a8-dynamic, fp16; for ai-edge-quantizer also w4a8, w4a8-dynamic, w8, w4, and another ALGORITHM for the scales of weights,
such as MSE, OCTAV, OSCAR or GPTQ. Static schemes and GPTQ need CALIBRATION.npy, samples along the first axis.
The line: {"tool", "version", "scheme", "bytes", "seconds"}; seconds are those of reading, calibrating, quantizing and writing,
without imports and without rebuilding. Needs ai-edge-quantizer; tensorflow for tflite-converter.
"""

import json
import os
import sys
import time
from importlib.metadata import version
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.dont_write_bytecode = True

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter
from ai_edge_litert.tools import flatbuffer_utils

SAME_OUTPUTS = 1e-4  # of the largest output: float32 sums in another order


def samples(path):
    return [] if path is None else [row[None] for row in np.load(path).astype(np.float32)]


def modern(path):
    """The file as ai-edge-quantizer needs it: op codes in the field of today's files (it takes all ops of older ones for ADD) and a
    signature, which its calibration asks for."""
    model = schema.ModelT.InitFromPackedBuf(Path(path).read_bytes(), 0)
    for code in model.operatorCodes:
        code.builtinCode = max(code.builtinCode, code.deprecatedBuiltinCode)
    (x,), (y,) = model.subgraphs[0].inputs, model.subgraphs[0].outputs
    signature = schema.SignatureDefT()
    signature.signatureKey, signature.subgraphIndex = b"serving_default", 0
    signature.inputs, signature.outputs = [tensor_map(b"x", x)], [tensor_map(b"y", y)]
    model.signatureDefs = [signature]
    return bytes(flatbuffer_utils.convert_object_to_bytearray(model))


def tensor_map(name, index):
    entry = schema.TensorMapT()
    entry.name, entry.tensorIndex = name, index
    return entry


WEIGHTED = ("CONV_2D", "FULLY_CONNECTED")
ALGORITHM_OPS = {"MSE": WEIGHTED, "OCTAV": WEIGHTED, "GPTQ": WEIGHTED[1:], "OSCAR": WEIGHTED[1:]}


def for_ops(add, algorithm):
    """Smallest and largest value for all ops, `algorithm` for those that have it."""
    add("*", "min_max_uniform_quantize")
    for op in ALGORITHM_OPS.get(algorithm, ()):
        add(op, algorithm)


def static(quantizer, algorithm, activations, weights):
    for_ops(lambda op, key: quantizer.add_static_config(".*", op, activations, weights, algorithm_key=key), algorithm)


def float_ports(quantizer, *setting):
    static(quantizer, *setting)
    for port in ("INPUT", "OUTPUT"):
        quantizer.update_quantization_recipe(".*", port, algorithm_key="no_quantize")


def dynamic(quantizer, algorithm, bits):
    for_ops(lambda op, key: quantizer.add_dynamic_config(".*", op, bits, algorithm_key=key), algorithm)


def stored(quantizer, algorithm, bits):
    for_ops(lambda op, key: quantizer.add_weight_only_config(".*", op, bits, algorithm_key=key), algorithm)


def half_weights(quantizer, _):
    quantizer.add_weight_only_config(".*", "*", 16, algorithm_key="float_casting")


AI_EDGE_SCHEMES = {
    "w8a8": lambda quantizer, algorithm: float_ports(quantizer, algorithm, 8, 8),
    "w8a8-int8": lambda quantizer, algorithm: static(quantizer, algorithm, 8, 8),
    "w8a16": lambda quantizer, algorithm: float_ports(quantizer, algorithm, 16, 8),
    "w4a8": lambda quantizer, algorithm: float_ports(quantizer, algorithm, 8, 4),
    "w8a8-dynamic": lambda quantizer, algorithm: dynamic(quantizer, algorithm, 8),
    "w4a8-dynamic": lambda quantizer, algorithm: dynamic(quantizer, algorithm, 4),
    "w8": lambda quantizer, algorithm: stored(quantizer, algorithm, 8),
    "w4": lambda quantizer, algorithm: stored(quantizer, algorithm, 4),
    "fp16": half_weights,
}


def ai_edge_quantizer(source, scheme, algorithm, calibration):
    from ai_edge_quantizer import quantizer as ai_edge

    def run():
        quantizer = ai_edge.Quantizer(modern(source))
        AI_EDGE_SCHEMES[scheme](quantizer, algorithm)
        rows = {"serving_default": [{"x": row} for row in samples(calibration)]}
        ranges = quantizer.calibrate(rows) if quantizer.need_calibration else None
        return quantizer.quantize(ranges, enable_progress_report=False).quantized_model

    return run


def checked(network, source, rows):
    """Fails where the rebuilt network doesn't give the file's outputs."""
    engine = Interpreter(source)
    engine.allocate_tensors()
    (x,), (y,) = engine.get_input_details(), engine.get_output_details()
    for row in rows:
        engine.set_tensor(x["index"], row)
        engine.invoke()
        expected = engine.get_tensor(y["index"])
        np.testing.assert_allclose(network(row), expected, 0, SAME_OUTPUTS * np.abs(expected).max())


def full_integer(converter, tf, rows, ops="TFLITE_BUILTINS_INT8"):
    converter.representative_dataset = lambda: ([row] for row in rows)
    converter.target_spec.supported_ops = [getattr(tf.lite.OpsSet, ops)]


def int8_ports(converter, tf, rows):
    full_integer(converter, tf, rows)
    converter.inference_input_type = converter.inference_output_type = tf.int8


def wide_activations(converter, tf, rows):
    full_integer(converter, tf, rows, "EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8")


def half(converter, tf, _):
    converter.target_spec.supported_types = [tf.float16]


CONVERTER_SCHEMES = {
    "w8a8": full_integer,
    "w8a8-int8": int8_ports,
    "w8a16": wide_activations,
    "w8a8-dynamic": lambda *_: None,
    "fp16": half,
}


def tflite_converter(source, scheme, _, calibration):
    import keras
    import tensorflow as tf
    from tflite_network import keras_model

    keras.utils.disable_interactive_logging()
    network = keras_model(source)
    rows = samples(calibration)
    checked(network, source, rows[:16] or [np.ones(network.inputs[0].shape, np.float32)])

    def run():
        converter = tf.lite.TFLiteConverter.from_keras_model(network)
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        CONVERTER_SCHEMES[scheme](converter, tf, samples(calibration))
        return converter.convert()

    return run


TOOLS = {"ai-edge-quantizer": (ai_edge_quantizer, "ai-edge-quantizer"), "tflite-converter": (tflite_converter, "tensorflow-cpu")}


def main(tool, wish, source, output, calibration=None):
    scheme, _, algorithm = wish.partition(":")
    prepare, package = TOOLS[tool]
    run = prepare(source, scheme, algorithm, calibration)
    began = time.perf_counter()
    data = run()
    Path(output).write_bytes(data)
    seconds = time.perf_counter() - began
    line = {"tool": tool, "version": version(package), "scheme": wish, "bytes": len(data), "seconds": round(seconds, 3)}
    print(json.dumps(line))


main(*sys.argv[1:])
