"""A float .tflite of one subgraph, input and output as a Keras model, for the converter that doesn't read .tflite files.

Ops: CONV_2D, FULLY_CONNECTED, ADD, AVERAGE_POOL_2D, RESHAPE, SOFTMAX, with fused ReLU and ReLU6; the first dimension is the batch.
"""

import keras
import numpy as np
from ai_edge_litert import schema_py_generated as schema

OP_NAMES = {code: name for name, code in vars(schema.BuiltinOperator).items() if isinstance(code, int)}
DTYPES = {schema.TensorType.FLOAT32: np.float32, schema.TensorType.INT32: np.int32}
PADDING = {schema.Padding.SAME: "same", schema.Padding.VALID: "valid"}
ACTIVATIONS = {
    schema.ActivationFunctionType.NONE: None,
    schema.ActivationFunctionType.RELU: "relu",
    schema.ActivationFunctionType.RELU6: "relu6",
}


def strides(options):
    return (options.strideH, options.strideW)


def conv(x, options, weights, bias):
    layer = keras.layers.Conv2D(
        weights.shape[0],
        weights.shape[1:3],
        strides(options),
        PADDING[options.padding],
        dilation_rate=(options.dilationHFactor, options.dilationWFactor),
        activation=ACTIVATIONS[options.fusedActivationFunction],
    )
    y = layer(x)
    layer.set_weights([weights.transpose(1, 2, 3, 0), bias])
    return y


def fully_connected(x, options, weights, bias):
    layer = keras.layers.Dense(weights.shape[0], activation=ACTIVATIONS[options.fusedActivationFunction])
    y = layer(x)
    layer.set_weights([weights.T, bias])
    return y


def add(a, options, b):
    activation = ACTIVATIONS[options.fusedActivationFunction]
    total = keras.layers.Add()([a, b])
    return total if activation is None else keras.layers.Activation(activation)(total)


def average_pool(x, options):
    window = (options.filterHeight, options.filterWidth)
    return keras.layers.AveragePooling2D(window, strides(options), PADDING[options.padding])(x)


def reshape(x, _, shape):
    return keras.layers.Reshape(tuple(int(size) for size in shape[1:]))(x)


def softmax(x, _):
    return keras.layers.Softmax()(x)


OPS = {
    "CONV_2D": conv,
    "FULLY_CONNECTED": fully_connected,
    "ADD": add,
    "AVERAGE_POOL_2D": average_pool,
    "RESHAPE": reshape,
    "SOFTMAX": softmax,
}


def constants(model, graph):
    """Arrays of the tensors that have data in the file, by index."""
    stored = {}
    for index, tensor in enumerate(graph.tensors):
        data = model.buffers[tensor.buffer].data
        if data is not None:
            stored[index] = np.frombuffer(bytes(data), DTYPES[tensor.type]).reshape(tensor.shape)
    return stored


def op_name(model, operator):
    code = model.operatorCodes[operator.opcodeIndex]
    return OP_NAMES[max(code.builtinCode, code.deprecatedBuiltinCode)]


def keras_model(path):
    """The network of the file at `path`, one Keras layer for each op and fused activation of a sum."""
    with open(path, "rb") as file:
        model = schema.ModelT.InitFromPackedBuf(file.read(), 0)
    graph = model.subgraphs[0]
    values = constants(model, graph)
    (x,), (y,) = graph.inputs, graph.outputs
    values[x] = keras.Input(batch_shape=[int(size) for size in graph.tensors[x].shape])
    for operator in graph.operators:
        first, *others = [values[index] for index in operator.inputs]
        values[operator.outputs[0]] = OPS[op_name(model, operator)](first, operator.builtinOptions, *others)
    return keras.Model(values[x], values[y])
