"""What the documentation tells people to type: every command of README.md, CONTRIBUTING.md and docs/.

A fenced block names its language (`sh`, `text`, `yaml`, …). tests/test_docs.py checks every command line of an `sh`
block and every command in the running text: the program must accept its arguments, and Snakemake must be able to plan
its targets. A comment above each `sh` block says where the block is also run:

    <!-- run: smoke -->                     tests/test_workflow.py, in a finished smoke build
    <!-- run: dvc -->                       tests/test_dvc_loop.py, at a part of the scale smoke
    <!-- run: nightly -->                   tests/test_documented_blocks.py, with `make test-docs` only: minutes
    <!-- not run: needs a container -->     nowhere, for this reason
    <!-- messages: snakemake -->            (`text`) a message of Snakemake, not of this project
"""

import re
import shlex
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from conftest import ROOT

PAGES = [
    "README.md",
    "CONTRIBUTING.md",
    *sorted(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md")),
]
PROGRAMS = ("snakemake", "tlm", "python", "make", "dvc", "accelerate")
SHELL = {
    ".",
    "cd",
    "cp",
    "curl",
    "docker",
    "echo",
    "export",
    "git",
    "head",
    "ls",
    "mkdir",
    "mv",
    "pip",
    "rm",
    "source",
}
"""Words of the shell and tools that everybody has; what they do is not ours to test."""

_FENCE = re.compile(r"^\s*```(?P<language>[\w-]*)(?P<rest>.*)$")
_MARK = re.compile(r"<!-- (?P<kind>not run|run|messages): (?P<text>.+?) -->")
_OPEN = re.compile(r"…|<[a-z][\w ./-]*>|\b[A-Z]{4,}\b")
"""What a reader must fill in."""


@dataclass(frozen=True)
class Block:
    """One fenced block. `mark` is `run`, `not run`, `messages` or None; `reason` what the comment says."""

    page: str
    line: int
    language: str
    title: str | None
    text: str
    mark: str | None
    reason: str


@dataclass(frozen=True)
class Command:
    """One command: its words, without redirections; `open` if it has places to be filled in."""

    where: str
    words: tuple[str, ...]
    open: bool

    def __str__(self) -> str:
        return f"{self.where}: {shlex.join(self.words)}"


def blocks(page: str) -> list[Block]:
    """The fenced blocks of a page."""
    found: list[Block] = []
    inside: dict[str, object] | None = None
    mark = (None, "")
    lines: list[str] = []
    for number, line in enumerate((ROOT / page).read_text(encoding="utf-8").splitlines(), 1):
        fence = _FENCE.match(line)
        if inside is not None and fence and not fence["language"]:
            found.append(Block(**inside, text="\n".join(lines)))  # type: ignore[arg-type]
            inside = None
        elif inside is not None:
            lines.append(line)
        elif fence:
            title = re.search(r'title="([^"]+)"', fence["rest"])
            inside = {"page": page, "line": number, "language": fence["language"]}
            inside |= {"title": title and title[1], "mark": mark[0], "reason": mark[1]}
            lines, mark = [], (None, "")
        elif marked := _MARK.search(line):
            mark = (marked["kind"], marked["text"])
        elif line.strip():
            mark = (None, "")
    assert inside is None, f"{page}: a block is not closed"
    return found


def run(block: Block, folder: Path, environment: dict[str, str], seconds: float) -> None:
    """Run a block in `folder` as one script of bash; AssertionError with its output if one of its commands fails."""
    command = ["bash", "-c", f"set -euo pipefail\n{block.text}"]
    options = {"capture_output": True, "text": True, "timeout": seconds, "stdin": subprocess.DEVNULL}
    result = subprocess.run(command, cwd=folder, env=environment, **options)  # type: ignore[call-overload]
    assert result.returncode == 0, (
        f"{block.page}:{block.line}\n{result.stdout[-3000:]}\n{result.stderr[-3000:]}"
    )


def prose(page: str) -> str:
    """A page without its fenced blocks."""
    text = (ROOT / page).read_text(encoding="utf-8")
    return re.sub(r"^\s*```.*?^\s*```$", "", text, flags=re.M | re.S)


def commands() -> list[Command]:
    """Every command of every page, without the blocks that every test run executes."""
    found = []
    for page in PAGES:
        for block in blocks(page):
            if block.language == "sh" and block.reason != "smoke":  # those run in every test run
                found += list(_commands(f"{page}:{block.line}", block.text))
        for code in re.findall(r"(?<!`)`([^`]+)`(?!`)", prose(page)):
            code = " ".join(code.split())
            first = code.split(" ")[0]
            if first in PROGRAMS and " " in code:
                named = code.count(" ") == 1  # `tlm predict`: the command as such
                found += [replace(each, open=each.open or named) for each in _commands(page, code)]
    return found


def _commands(where: str, text: str) -> Iterator[Command]:
    for line in re.sub(r"\\\n", " ", text).splitlines():
        line = re.sub(r"(^|\s)#.*$", "", line).strip()
        if not line:
            continue
        is_open = _OPEN.search(line) is not None
        line = re.sub(r"<([a-z][\w ./-]*)>", lambda match: match[1].replace(" ", "-"), line.replace("…", ""))
        lexer = shlex.shlex(line, posix=True, punctuation_chars="|&;><()")
        lexer.whitespace_split = True
        words: list[str] = []
        skip = False
        for word in [*lexer, ";"]:
            if re.fullmatch(r"[|&;()]+", word):
                while words and re.fullmatch(r"\w+=.*", words[0]):
                    words = words[1:]  # VARIABLE=value command
                if words:
                    yield Command(where, tuple(each for word in words for each in _expanded(word)), is_open)
                words = []
            elif re.fullmatch(r"[<>]+", word):
                skip = True  # a redirection and its file
            elif skip:
                skip = False
            else:
                words.append(word)


def _expanded(word: str) -> list[str]:
    """`a{b,c}` as the shell does it, one level deep."""
    match = re.fullmatch(r"([\w./-]*)\{([\w,.-]+)\}([\w./-]*)", word)
    if match is None or "," not in match[2]:
        return [word]
    return [f"{match[1]}{each}{match[3]}" for each in match[2].split(",")]
