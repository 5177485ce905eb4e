"""Trains the demo's character classifier and writes it as ONNX with its batch normalizations unfolded.

  node scripts/export-demo-images.js DATA train 1 60000
  node scripts/export-demo-images.js DATA test 2 2000
  python scripts/peers/train-demo.py DATA demo/characters.onnx

Needs torch, onnx, onnxruntime, numpy. About six minutes on two cores.
"""

import sys
import time
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

SIDE, CLASSES = 32, 26
EPOCHS, BATCH, PEAK_RATE = 7, 128, 4e-3
# (name, input channels, output channels, kernel, stride, groups). A "residual" is two of them around an addition.
UNITS = [
    ("stem", 1, 16, 3, 1, 1),
    ("down1", 16, 32, 3, 2, 1),
    ("residual1", 32, 32, 3, 1, 1),
    ("depthwise2", 32, 32, 3, 2, 32),
    ("pointwise2", 32, 64, 1, 1, 1),
    ("residual2", 64, 64, 3, 1, 1),
    ("depthwise3", 64, 64, 3, 2, 64),
    ("pointwise3", 64, 128, 1, 1, 1),
]


class Unit(nn.Module):
    """Convolution, batch normalization."""

    def __init__(self, cin, cout, kernel, stride, groups):
        super().__init__()
        self.conv = nn.Conv2d(cin, cout, kernel, stride, kernel // 2, groups=groups, bias=False)
        self.norm = nn.BatchNorm2d(cout)

    def forward(self, x):
        return self.norm(self.conv(x))


class Classifier(nn.Module):
    def __init__(self):
        super().__init__()
        units = {}
        for name, *shape in UNITS:
            for part in ["a", "b"] if name.startswith("residual") else [""]:
                units[name + part] = Unit(*shape)
        self.units = nn.ModuleDict(units)
        self.linear = nn.Linear(UNITS[-1][2], CLASSES)

    def forward(self, x):
        for name, *_ in UNITS:
            if name.startswith("residual"):
                inner = torch.relu(self.units[name + "a"](x))
                x = torch.relu(x + self.units[name + "b"](inner))
            else:
                x = torch.relu(self.units[name](x))
        return self.linear(x.mean((2, 3)))


def train(model, images, labels):
    steps = EPOCHS * (len(images) // BATCH)
    optimizer = torch.optim.AdamW(model.parameters(), lr=PEAK_RATE, weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, PEAK_RATE, total_steps=steps)
    for epoch in range(EPOCHS):
        began, total = time.time(), 0.0
        order = torch.randperm(len(images))[: len(images) // BATCH * BATCH]
        for batch in order.split(BATCH):
            loss = nn.functional.cross_entropy(model(images[batch]), labels[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            total += loss.item()
        print(f"epoch {epoch + 1}/{EPOCHS}: loss {total * BATCH / len(order):.4f}, {time.time() - began:.0f} s", flush=True)


class Writer:
    """Collects nodes and weights of an ONNX graph."""

    def __init__(self):
        self.nodes, self.weights = [], []

    def weight(self, name, tensor):
        self.weights.append(numpy_helper.from_array(tensor.detach().numpy(), name))
        return name

    def op(self, op, inputs, output, **attributes):
        self.nodes.append(helper.make_node(op, inputs, [output], name=output, **attributes))
        return output

    def unit(self, x, name, unit):
        conv, norm = unit.conv, unit.norm
        pads = [conv.padding[0]] * 4
        weight = self.weight(f"{name}.weight", conv.weight)
        x = self.op(
            "Conv", [x, weight], f"{name}.conv",
            kernel_shape=conv.kernel_size, strides=conv.stride, pads=pads, group=conv.groups,
        )
        parts = {"scale": norm.weight, "bias": norm.bias, "mean": norm.running_mean, "variance": norm.running_var}
        values = [self.weight(f"{name}.{part}", tensor) for part, tensor in parts.items()]
        return self.op("BatchNormalization", [x, *values], f"{name}.norm", epsilon=norm.eps)


def to_onnx(model):
    out, x = Writer(), "image"
    for name, *_ in UNITS:
        if name.startswith("residual"):
            inner = out.op("Relu", [out.unit(x, name + "a", model.units[name + "a"])], f"{name}a.relu")
            x = out.op("Add", [x, out.unit(inner, name + "b", model.units[name + "b"])], f"{name}.add")
            x = out.op("Relu", [x], f"{name}.relu")
        else:
            x = out.op("Relu", [out.unit(x, name, model.units[name])], f"{name}.relu")
    x = out.op("Flatten", [out.op("GlobalAveragePool", [x], "pool")], "features", axis=1)
    weights = [out.weight("linear.weight", model.linear.weight), out.weight("linear.bias", model.linear.bias)]
    out.op("Gemm", [x, *weights], "logits", transB=1)
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, ["batch", 1, SIDE, SIDE])
    logits = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", CLASSES])
    graph = helper.make_graph(out.nodes, "characters", [image], [logits], out.weights)
    opset = [helper.make_opsetid("", 17)]
    proto = helper.make_model(graph, opset_imports=opset, ir_version=8, producer_name="fewbit train-demo")
    onnx.checker.check_model(proto, full_check=True)
    return proto


def main(data, output):
    torch.manual_seed(0)
    read = lambda name: np.load(Path(data) / f"{name}.npy")
    images, labels = torch.from_numpy(read("train_images")), torch.from_numpy(read("train_labels")).long()
    model = Classifier().to(memory_format=torch.channels_last)
    print(f"{sum(p.numel() for p in model.parameters())} parameters, {len(images)} images")
    train(model, images, labels)
    proto = to_onnx(model.eval().to(memory_format=torch.contiguous_format))
    onnx.save(proto, output)
    (logits,) = ort.InferenceSession(output).run(None, {"image": read("test_images")})
    wrong = logits.argmax(1) != read("test_labels")
    print(f"{Path(output).stat().st_size} bytes, top-1 on {len(wrong)} fresh images: {100 - 100 * wrong.mean():.2f} %")


main(*sys.argv[1:])
