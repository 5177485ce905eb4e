"""Golden digests of a real transformer: what onnxruntime's Python tools make of all-MiniLM-L6-v2 at transformers.js settings.

  python scripts/peers/golden-minilm.py FOLDER tests/golden/minilm.json

FOLDER holds model.onnx of export-minilm.py. Writes the SHA-256 of the model and, for q8 and q4, of every initializer (type, shape,
bytes) by name, as tensor-digests.py prints them. Needs what ort-quantize.py and tensor-digests.py need.
"""

import hashlib
import json
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent


def run(script, *arguments):
    command = [sys.executable, str(HERE / script), *map(str, arguments)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def digests(model, scheme):
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "model.onnx"
        run("ort-quantize.py", scheme, model, output)
        lines = run("tensor-digests.py", output).splitlines()
    return dict(sorted((line.split("] ", 1)[1], line.split("] ", 1)[0] + "]") for line in lines))


def main(folder, output):
    model = Path(folder) / "model.onnx"
    golden = {"model": hashlib.sha256(model.read_bytes()).hexdigest()}
    golden |= {scheme: digests(model, scheme) for scheme in ["q8", "q4"]}
    Path(output).write_text(json.dumps(golden, indent=1) + "\n", encoding="utf-8")


main(*sys.argv[1:])
