"""Prints one line for each initializer of an ONNX model: SHA-256 of its bytes, type, shape, name. For comparing two tools' files.

  python scripts/peers/tensor-digests.py MODEL.onnx

Bytes are little-endian and packed as in the file; external data is read. Sub-graphs are included. Needs onnx, numpy.
"""

import hashlib
import sys

import onnx
from onnx import TensorProto, numpy_helper


def graphs(graph):
    yield graph
    for node in graph.node:
        for attribute in node.attribute:
            for inner in [attribute.g] * attribute.HasField("g") + list(attribute.graphs):
                yield from graphs(inner)


def data(tensor):
    return tensor.raw_data if tensor.HasField("raw_data") else numpy_helper.to_array(tensor).tobytes()


def main(path):
    model = onnx.load(path)
    for graph in graphs(model.graph):
        for tensor in sorted(graph.initializer, key=lambda tensor: tensor.name):
            digest = hashlib.sha256(data(tensor)).hexdigest()
            print(digest, TensorProto.DataType.Name(tensor.data_type), list(tensor.dims), tensor.name)


main(*sys.argv[1:])
