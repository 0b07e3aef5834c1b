"""Rule `export_onnx`: a model of `models/` as an ONNX file."""

from pathlib import Path
from typing import Annotated

from tlm.process import quick_imports, run_script

with quick_imports():
    from tlm.serving.onnx_file import export_onnx


def main(
    *, model: Annotated[Path, "folder of the model"], output: Annotated[Path, "the file to write"]
) -> None:
    export_onnx(model, output)


if __name__ == "__main__":
    run_script(main)
