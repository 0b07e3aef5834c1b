"""Rule `export_onnx`: a model of `models/` as an ONNX file."""

import argparse
from pathlib import Path

from tlm.process import quick_imports, run_script

with quick_imports():
    from tlm.serving.onnx_file import export_onnx


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, required=True, help="folder of the model")
    parser.add_argument("--output", type=Path, required=True, help="the file to write")
    options = parser.parse_args()
    export_onnx(options.model, options.output)


if __name__ == "__main__":
    run_script(main)
