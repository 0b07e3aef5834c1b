"""Scripts: the parameters of `main` become the options of the command line, and a mistake ends in one line."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

import pytest

from tlm.config.base import Strict
from tlm.process import run_script


class Spec(Strict):
    size: int


def run(monkeypatch, arguments):
    """The parameters that `main` receives."""
    received = {}

    def main(
        targets: Sequence[str] = (),
        /,
        *,
        spec: Spec,
        kind: Literal["a", "b"] = "a",
        made_from: Annotated[Sequence[Path], "its files"],
        html: Path | None = None,
        check: bool = False,
    ) -> None:
        received.update(targets=targets, spec=spec, kind=kind, made_from=made_from, html=html, check=check)

    monkeypatch.setattr(sys, "argv", ["script.py", *arguments.split()])
    run_script(main)
    return received


def test_parameters_become_options(monkeypatch):
    arguments = """x y --spec {"size":2} --made-from a b --made-from c --check --kind b"""
    assert run(monkeypatch, arguments) == {
        "targets": ["x", "y"],
        "spec": Spec(size=2),
        "kind": "b",
        "made_from": [Path("a"), Path("b"), Path("c")],
        "html": None,
        "check": True,
    }
    least = run(monkeypatch, """--spec {"size":2} --made-from a""")
    assert (least["targets"], least["kind"], least["check"]) == ([], "a", False)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("--made-from a", "required: --spec"),
        ("""--spec {"size":2}""", "required: --made-from"),
        ("""--spec {"size":2} --made-from a --kind c""", "invalid choice: 'c'"),
        ("""--spec {"sice":2} --made-from a""", "error: --spec: size: missing key; sice: unknown key"),
        ("--help", "Spec as JSON, or @file"),
    ],
)
def test_mistakes_and_help_are_printed(monkeypatch, capsys, arguments, message):
    with pytest.raises(SystemExit):
        run(monkeypatch, arguments)
    assert message in "".join(capsys.readouterr())
