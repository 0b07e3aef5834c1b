"""Rule `setting`: one cell of Table A.1 or B.1, the hyper-parameters of a scale."""

from pathlib import Path

from tlm.process import quick_imports, run_script

with quick_imports():
    from tlm.artifacts import write_json
    from tlm.config.hyperparameters import ScaleSettings


def main(*, spec: ScaleSettings, output: Path) -> None:
    write_json(output, spec.as_cell())


if __name__ == "__main__":
    run_script(main)
