"""What the documentation tells people to type can be typed: every command is parsed by the program that it calls, and
every target is planned. The quick start is run, in tests/test_workflow.py.
"""

import argparse
import ast
import contextlib
import io
import json
import os
import re
import runpy
import subprocess
import sys
from collections import defaultdict
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import documented
import pytest
import yaml
from conftest import ROOT
from documented import PAGES, PROGRAMS, SHELL, Command
from jsonschema import Draft202012Validator
from workflow_runner import copy_project, snakemake

COMMANDS = documented.commands()
LANGUAGES = {"sh", "text", "yaml", "python", "json", "csv"}
OWN_FILES = ("chemprot", "cola", "imdb")
"""Folders `my-data/<task>` that commands of the documentation speak of."""


class Stop(BaseException):
    """Carries the parser out of a program before it does anything."""


@contextlib.contextmanager
def stopped():
    """Programs end where they have built their parser."""

    def stop(parser, *_, **__):
        raise Stop(parser)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(argparse.ArgumentParser, "parse_args", stop)
        yield patch


@cache
def parser_of(script: str) -> argparse.ArgumentParser:
    """The parser of a script of this project."""
    with stopped() as patch, pytest.raises(Stop) as caught:
        patch.setattr(sys, "argv", [script])
        patch.syspath_prepend(str((ROOT / script).parent))  # as `python script` does
        runpy.run_path(str(ROOT / script), run_name="__main__")
    return caught.value.args[0]


@cache
def parser_of_tlm() -> argparse.ArgumentParser:
    from tlm.cli import main

    with stopped() as patch, pytest.raises(Stop) as caught:
        patch.setattr(sys, "argv", ["tlm"])
        main()
    return caught.value.args[0]


def check(parser: argparse.ArgumentParser, command: Command, words: list[str]) -> argparse.Namespace | None:
    """Parse `words`; of a command with places to be filled in, see that its options exist."""
    if not command.open:
        output = io.StringIO()
        try:
            with contextlib.redirect_stderr(output), contextlib.redirect_stdout(output):
                return parser.parse_args(words)
        except SystemExit:
            assert "--help" in words or "-h" in words, f"{command}\n{output.getvalue()[-400:]}"
            return None
    while parser._subparsers and words:
        (action,) = parser._subparsers._group_actions
        assert words[0] in action.choices, f"{command}: {parser.prog} has no command {words[0]!r}"
        parser, words = action.choices[words[0]], words[1:]
    known = parser._option_string_actions
    for word in words:
        if word.startswith("--") and word != "--":
            assert word.split("=")[0] in known, f"{command}: {word} is no option of {parser.prog}"
    return None


def check_python(command: Command, words: list[str]) -> None:
    if words[0] == "-m":
        if words[1] == "tlm" and words[2:]:
            check(parser_of_tlm(), command, words[2:])
        else:
            assert find_spec(words[1]), f"{command}: no module {words[1]}"
    elif words[0] == "-c":
        compile(words[1], str(command), "exec")
    else:
        assert (ROOT / words[0]).is_file(), f"{command}: no such script"
        if len(words) > 1:
            check(parser_of(words[0]), command, words[1:])


def check_accelerate(command: Command, words: list[str]) -> None:
    from accelerate.commands.launch import launch_command_parser

    assert words[0] == "launch"
    parser = launch_command_parser()
    scripts = [number for number, word in enumerate(words) if word.startswith("scripts/")]
    launch = words[1 : scripts[0]] if scripts else words[1:]
    check(parser, command, [*launch, "scripts/stage1.py"])
    if scripts:
        check_python(command, words[scripts[0] :])


def check_dvc(command: Command, words: list[str]) -> None:
    from dvc.cli.parser import get_main_parser

    check(get_main_parser(), command, words)


def check_make(command: Command, words: list[str]) -> None:
    rules = set(re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(), re.M))
    targets = [word for word in words if "=" not in word and not word.startswith("-")]
    assert targets and set(targets) <= rules, command


def check_snakemake(command: Command, words: list[str]) -> None:
    from snakemake.cli import get_argument_parser

    check(get_argument_parser(), command, words)


CHECKS = {
    "python": check_python,
    "tlm": lambda command, words: check(parser_of_tlm(), command, words),
    "accelerate": check_accelerate,
    "dvc": check_dvc,
    "make": check_make,
    "snakemake": check_snakemake,
}


def test_there_are_commands_to_check():
    assert len(COMMANDS) > 40 and set(CHECKS) == set(PROGRAMS)


@pytest.mark.parametrize("command", COMMANDS, ids=str)
def test_commands_parse(command):
    program, *words = command.words
    if program in SHELL:
        return
    assert program in CHECKS, (
        f"{command}: no test knows {program!r}; add it to SHELL of tests/documented.py or to CHECKS"
    )
    CHECKS[program](command, words)


def plans() -> dict[tuple[str, ...], set[str]]:
    """`--config` → the targets that some command builds with it."""
    from snakemake.cli import get_argument_parser

    found = defaultdict(set)
    for command in COMMANDS:
        if command.words[0] == "snakemake" and not command.open:
            try:
                with contextlib.redirect_stderr(io.StringIO()):
                    args = get_argument_parser().parse_args(command.words[1:])
            except SystemExit:  # the test above reports it
                continue
            aside = args.lint or args.unlock or args.touch or args.rulegraph or args.report
            if not aside:
                found[tuple(args.config or ())] |= set(args.targets) or {"all"}
    return found


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    folder = copy_project(tmp_path_factory.mktemp("documented"))
    for task in OWN_FILES:
        (folder / "my-data" / task).mkdir(parents=True)
        (folder / "my-data" / task / "train.csv").write_text("text,label\n")
    (folder / "my-data/corpus").mkdir()
    (folder / "my-data/corpus/part.jsonl.zst").touch()
    (folder / "config/own").mkdir(exist_ok=True)
    for command in COMMANDS:  # what `tlm new` would have written before a plan
        if command.words[:2] == ("tlm", "new") and len(command.words) > 2 and command.words[2][0] != "-":
            own = folder / f"config/own/{command.words[2]}.yaml"
            own.write_text(
                "task: {files: examples/toy-task.csv}\ncorpus: {files: examples/toy-corpus.jsonl}\n"
            )
    return folder


@pytest.mark.parametrize("settings", plans(), ids=lambda settings: " ".join(settings) or "demo")
def test_documented_targets_plan(project, settings):
    config = ["--config", *settings] if settings else ["--config", "scale=demo"]
    result = snakemake(
        project, "--dry-run", "--quiet", "all", "--nolock", *config, "--", *sorted(plans()[settings])
    )
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize("page", PAGES)
def test_blocks_declare_their_language(page):
    for block in documented.blocks(page):
        where = f"{page}:{block.line}"
        assert block.language in LANGUAGES, (
            f"{where}: write ```sh, ```text, ```yaml … instead of {block.language!r}"
        )
        if block.language == "yaml":
            check_yaml(where, block)
        elif block.language == "json":
            json.loads(block.text)
        elif block.language == "python":
            compile(block.text, where, "exec")
        elif block.language == "sh":
            output = subprocess.run(
                ["bash", "-n"], input=re.sub(r"[<>…]", "", block.text), text=True, capture_output=True
            )
            assert output.returncode == 0, f"{where}: {output.stderr}"


def check_yaml(where: str, block: documented.Block) -> None:
    """It is YAML; and where a title names its file, what that file may hold."""
    found = yaml.safe_load(block.text)
    name = re.fullmatch(r"config/(\w+)(?:\.yaml|/[\w-]+\.yaml)", block.title or "")
    if name is None:
        return
    kind = {"scales": "scale"}.get(name[1], name[1])
    schema = json.loads((ROOT / f"config/schema/{kind}.schema.json").read_text())
    reference = schema.get("$ref", "").removeprefix("#/$defs/")
    (schema["$defs"][reference] if reference else schema).pop("required", None)  # a block is part of a file
    errors = [error.message for error in Draft202012Validator(schema).iter_errors(found)]
    assert not errors, f"{where}: {errors[0]}"


@pytest.mark.parametrize("page", PAGES)
def test_no_command_is_outside_a_block(page):
    for line in documented.prose(page).splitlines():
        assert not re.match(rf"\s{{4,}}({'|'.join(PROGRAMS)}) ", line), (
            f"{page}: {line.strip()} belongs into ```sh"
        )


@pytest.mark.parametrize("page", PAGES)
def test_every_shell_block_is_marked_as_run_or_gives_a_reason(page):
    for block in documented.blocks(page):
        where = f"{page}:{block.line}"
        if block.language == "sh":
            assert block.mark in ("run", "not run"), (
                f"{where}: write <!-- run: … --> or <!-- not run: why --> above it"
            )
        if block.mark == "not run":
            assert len(block.reason) > 8, where
        elif block.mark == "run":
            places = {"smoke", "nightly", "dvc"} if page == "docs/dvc.md" else {"smoke", "nightly"}
            assert block.reason in places, f"{where}: tests/documented.py lists what can follow `run:`"


def test_a_block_with_a_failing_command_fails(tmp_path):
    block = documented.Block(
        "docs/page.md", 7, "sh", None, "touch begun\nfalse | cat\ntouch ended", "run", "smoke"
    )
    with pytest.raises(AssertionError, match=r"docs/page\.md:7"):
        documented.run(block, tmp_path, dict(os.environ), 60)
    assert [path.name for path in tmp_path.iterdir()] == ["begun"]


@pytest.mark.parametrize("page", PAGES)
def test_links_between_documents_lead_somewhere(page):
    path = ROOT / page
    for target in re.findall(r"\]\((?!https?://)([^)#]+)", path.read_text()):
        assert (path.parent / target).exists(), f"{page}: {target}"


def test_cores_are_always_given():
    """Snakemake 9 refuses `--cores` without a number or `all`."""
    names = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True).stdout
    for name in names.split("\0"):
        if (ROOT / name).suffix in (".md", ".py", ".smk", ".yaml", ".ipynb", "") and (ROOT / name).is_file():
            text = (ROOT / name).read_text(errors="replace")
            bare = re.search(r"snakemake [^`\n]*--cores(?! ?(?:all\b|\d|[\$N{\"'(|\\]))[^\n]*", text)
            assert bare is None, f"{name}: {bare[0]}"


def templates(folder) -> list[str]:
    """Every string in the code below `folder`, what is filled in as a NUL."""
    found = []
    for path in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.JoinedStr):
                found.append(
                    "".join(
                        str(part.value) if isinstance(part, ast.Constant) else "\0" for part in node.values
                    )
                )
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.append(node.value)
    return found


def occurs(message: str, within: list[str]) -> bool:
    """Whether some string has all that stands between the dots of `message`, in this order."""
    parts = [re.escape(part) for part in re.split("…", " ".join(message.split())) if part]
    pattern = re.compile(".*".join(parts), re.S)
    return any(pattern.search(each) for each in within)


def test_the_messages_of_the_troubleshooting_page_are_those_of_the_code():
    ours, other = templates(ROOT / "tlm"), None
    messages = [block for block in documented.blocks("docs/troubleshooting.md") if block.language == "text"]
    assert len(messages) > 25
    for block in messages:
        if block.mark == "messages":
            other = other or snakemakes_messages()
            assert occurs(block.text, other), f"Snakemake no longer says {block.text!r}"
        else:
            assert occurs(block.text, ours), (
                f"docs/troubleshooting.md:{block.line}: no code says {block.text!r}"
            )


def snakemakes_messages() -> list[str]:
    folder = Path(find_spec("snakemake").origin).parent
    return [*templates(folder), "argument --cores/-c: expected one argument"]


def test_snakemake_still_refuses_bare_cores():
    from snakemake.cli import get_argument_parser

    output = io.StringIO()
    with contextlib.redirect_stderr(output), pytest.raises(SystemExit):
        get_argument_parser().parse_args(["results/table2.csv", "--cores"])
    assert "argument --cores/-c: expected one argument" in output.getvalue()
