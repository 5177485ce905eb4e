"""Exports torchvision's classifiers to ONNX, with random weights: for speed and for which ops exporters write.

  python scripts/peers/export-torchvision.py OUTDIR [NAME ...]

Needs torch, torchvision, onnx and onnxscript; nothing is downloaded. OUTDIR gets NAME.onnx as the exporter of today writes it
(dynamo) and NAME-script.onnx as the older one does (opset 17), input [1, 3, 224, 224] float32. Statistics of batch
normalization are those of random images, so that values keep their size through all layers.
"""

import sys
from pathlib import Path

import torch
import torchvision

NAMES = [
    "mobilenet_v2", "mobilenet_v3_small", "mobilenet_v3_large", "efficientnet_b0", "regnet_y_400mf", "densenet121",
    "squeezenet1_1",
]
BATCHES, BATCH = 3, 4


def network(name):
    torch.manual_seed(0)
    model = getattr(torchvision.models, name)(weights=None).train()
    with torch.no_grad():
        for _ in range(BATCHES):
            model(torch.randn(BATCH, 3, 224, 224))
    return model.eval()


def main(folder, names):
    folder.mkdir(parents=True, exist_ok=True)
    image = torch.randn(1, 3, 224, 224)
    for name in names:
        model = network(name)
        torch.onnx.export(model, (image,), folder / f"{name}.onnx", dynamo=True, external_data=False)
        torch.onnx.export(model, (image,), folder / f"{name}-script.onnx", dynamo=False, opset_version=17)
        print(name)


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    main(Path(sys.argv[1]), sys.argv[2:] or NAMES)
