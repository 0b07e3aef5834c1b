"""What the documentation tells people to type: every command of README.md, CONTRIBUTING.md and docs/.

A fenced block says what it holds (`sh`, `text`, `yaml`, …). Every command line of an `sh` block, and every command in
the running text, is checked by tests/test_docs.py, unless a comment above its block says why not:

    <!-- not run: needs a container -->     the block is left alone
    <!-- run: smoke -->                     tests/test_workflow.py runs the block in a finished smoke build
    <!-- messages: snakemake -->            a message that is not ours
"""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, replace

from conftest import ROOT

PAGES = [
    "README.md",
    "CONTRIBUTING.md",
    *sorted(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md")),
]
PROGRAMS = ("snakemake", "tlm", "python", "make", "dvc", "accelerate")
SHELL = {".", "cd", "cp", "curl", "echo", "export", "git", "head", "ls", "mkdir", "mv", "pip", "rm", "source"}
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


def prose(page: str) -> str:
    """A page without its fenced blocks."""
    text = (ROOT / page).read_text(encoding="utf-8")
    return re.sub(r"^\s*```.*?^\s*```$", "", text, flags=re.M | re.S)


def commands() -> list[Command]:
    """Every command of every page that no comment excepts."""
    found = []
    for page in PAGES:
        for block in blocks(page):
            if block.language == "sh" and block.mark is None:
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
