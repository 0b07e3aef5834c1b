"""Rule `figure`: one figure as PDF and PNG, and the numbers in it as CSV."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from tlm.process import quick_imports, run_script

with quick_imports():
    from tlm.config.figures import Drawing
    from tlm.config.reported import load_reported
    from tlm.results.figures.draw import draw
    from tlm.results.figures.style import save, styled


def main(
    *,
    spec: Drawing,
    made_from: Annotated[Sequence[Path], "files that the figure is drawn from"] = (),
    reported: Path = Path("config/reported.yaml"),
    pdf: Path,
    png: Path,
    csv: Path,
) -> None:
    with styled():
        save(draw(spec, made_from, load_reported(reported)), pdf, png, csv)


if __name__ == "__main__":
    run_script(main)
