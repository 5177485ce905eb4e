"""Exports small models after quantization-aware training, as PyTorch and Brevitas write them.

    python export-qat.py FOLDER

FOLDER/pytorch.onnx: torch.ao FakeQuantize (x86 qconfig, version 0), TorchScript exporter; FOLDER/brevitas.onnx (only where brevitas is
installed): QCDQ with 4-bit weights and activations; FOLDER/x.npy: samples for --data. Then, for each:

    fewbit quantize FOLDER/pytorch.onnx --data FOLDER/x.npy -o FOLDER/out

which must report outputs equal to the original's and every product in integers. Measured with torch 2.15.0, brevitas 0.13.4 and
ONNX Runtime 1.30.0: PyTorch's differ by 0, Brevitas' by 131.8 dB (float32 rounding) under w8a8 and w4a8.
"""

import sys
import warnings
from pathlib import Path

import numpy as np
import torch
import torch.ao.quantization as tq
from torch import nn

warnings.filterwarnings("ignore")


class WithStubs(nn.Module):
    """Convolutions with batch norm, a residual sum, pooling and a dense layer, each with PyTorch's fake quantization."""

    def __init__(self):
        super().__init__()
        self.quant, self.dequant = tq.QuantStub(), tq.DeQuantStub()
        self.conv1, self.bn1, self.relu1 = nn.Conv2d(3, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16), nn.ReLU()
        self.conv2, self.bn2 = nn.Conv2d(16, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16)
        self.add, self.relu2 = torch.ao.nn.quantized.FloatFunctional(), nn.ReLU()
        self.pool, self.fc = nn.MaxPool2d(2), nn.Linear(16 * 36, 10)

    def forward(self, x):
        a = self.relu1(self.bn1(self.conv1(self.quant(x))))
        y = self.relu2(self.add.add(a, self.bn2(self.conv2(a))))
        return self.dequant(self.fc(self.pool(y).flatten(1)))


def fit(model, steps):
    optimizer = torch.optim.Adam(model.parameters(), 1e-3)
    for _ in range(steps):
        x = torch.rand(32, 3, 12, 12)
        labels = (x.mean((1, 2, 3)) * 1000).long() % 10
        loss = nn.functional.cross_entropy(model(x), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return model.eval()


def pytorch(x, path):
    model = WithStubs().train()
    model.qconfig = tq.get_default_qat_qconfig("x86", version=0)
    model = tq.fuse_modules_qat(model, [["conv1", "bn1", "relu1"], ["conv2", "bn2"]])
    tq.prepare_qat(model, inplace=True)
    fit(model, 60).apply(tq.disable_observer)
    names = {"input_names": ["x"], "output_names": ["y"], "dynamic_axes": {"x": {0: "n"}}}
    torch.onnx.export(model, (x,), path, dynamo=False, opset_version=17, **names)


def brevitas(x, path):
    import brevitas.nn as qnn
    from brevitas.export import export_onnx_qcdq
    from brevitas.quant import Int32Bias

    four = {"weight_bit_width": 4, "bias": True, "bias_quant": Int32Bias}
    model = nn.Sequential(
        qnn.QuantIdentity(bit_width=8, return_quant_tensor=True),
        qnn.QuantConv2d(3, 16, 3, padding=1, **four),
        qnn.QuantReLU(bit_width=4, return_quant_tensor=True),
        qnn.QuantConv2d(16, 16, 3, padding=1, **four),
        qnn.QuantReLU(bit_width=4, return_quant_tensor=True),
        nn.MaxPool2d(2),
        nn.Flatten(),
        qnn.QuantLinear(16 * 36, 10, **four),
    )
    export_onnx_qcdq(fit(model, 30), args=x, export_path=path, opset_version=17, dynamo=False)


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(0)
    x = torch.rand(8, 3, 12, 12)
    np.save(folder / "x.npy", x.numpy())
    pytorch(x, str(folder / "pytorch.onnx"))
    try:
        brevitas(x, str(folder / "brevitas.onnx"))
    except ModuleNotFoundError as error:
        print(f"no brevitas.onnx: {error}")
