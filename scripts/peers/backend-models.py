"""Writes every model of ONNX's backend test suite into a folder, one file per model.

    python scripts/peers/backend-models.py OUTDIR

Node models are generated from the test cases of the installed `onnx` package; the converted and simple models are
copied from its data. `tests/onnx-backend.test.ts` reads the folder named by FEWBIT_BACKEND_MODELS.
"""

import sys
import warnings
from pathlib import Path

import onnx
import onnx.backend.test
from onnx.backend.test.case.node import collect_testcases

warnings.simplefilter("ignore")
out = Path(sys.argv[1])
out.mkdir(parents=True, exist_ok=True)

counts = {}


def save(kind, name, content):
    folder = out / kind
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.onnx").write_bytes(content)
    counts[kind] = counts.get(kind, 0) + 1


for case in collect_testcases():
    save("node", case.name, case.model.SerializeToString())
data = Path(onnx.backend.test.__file__).parent / "data"
for path in sorted(data.rglob("*.onnx")):
    kind = path.relative_to(data).parts[0]
    save(kind, "_".join(path.relative_to(data).with_suffix("").parts[1:]), path.read_bytes())

print(f"onnx {onnx.__version__}:", ", ".join(f"{count} {kind}" for kind, count in sorted(counts.items())))
