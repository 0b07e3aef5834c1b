"""`tlm push` against a Hub on this machine: opt-in, private, complete, and silent about its token."""

import os
import shutil
import socket
from pathlib import Path

import pytest
from hub_server import Hub, uploads
from serving_toy import random_model, tlm
from training_toy import Toy

from tlm.errors import TlmError
from tlm.serving.hub import plan

NAME = "somebody/toy"


@pytest.fixture(scope="module")
def exported(tmp_path_factory) -> Path:
    folder = random_model(tmp_path_factory.mktemp("model") / "toy", Toy(tmp_path_factory.mktemp("toy")))
    (folder / "README.md").write_text("---\npipeline_tag: text-classification\n---\n\n# toy\n")
    return folder


@pytest.fixture
def model(exported, tmp_path) -> Path:
    return shutil.copytree(exported, tmp_path / "toy")


@pytest.fixture
def hub():
    with uploads() as running:
        yield running


def push(hub: Hub, model: Path, *arguments: str, token: str | None = "hf_secret"):
    environment = {
        "HF_ENDPOINT": hub.address,
        "HF_HOME": str(model.parent / "home"),  # nobody is logged in there
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_HUB_DISABLE_XET": "1",
        "HF_TOKEN": token or "",
        "NO_PROXY": "127.0.0.1",
    }
    return tlm("push", model, *arguments, env=environment)


def content(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_a_push_is_private_whole_and_one_commit(hub, model):
    (model / "onnx").mkdir()
    (model / "onnx/model.onnx").write_bytes(b"graph")
    before = content(model)
    (model / "notes.txt").write_text("mine")
    done = push(hub, model, NAME, "--message", "First")
    assert done.returncode == 0, done.stderr
    assert hub.private == {NAME: True} and hub.messages == ["First"]
    assert hub.files == before
    assert "not uploaded, as not part of the model: notes.txt" in done.stdout
    assert done.stdout.splitlines()[-1] == f"{hub.address}/{NAME}/commit/{'c0ffee' + 34 * '0'} (private)"
    assert any(path.startswith("PUT /large/") for path in hub.requests)
    assert "hf_secret" not in done.stdout + done.stderr
    assert not any(b"hf_secret" in data for data in content(model.parent).values())


def test_a_dry_run_asks_no_server(hub, model):
    done = push(hub, model, NAME, "--dry-run", token=None)
    assert done.returncode == 0, done.stderr
    assert "to the private repository somebody/toy" in done.stdout and "model.safetensors" in done.stdout
    assert hub.requests == []


def test_a_public_upload_needs_the_option(hub, model):
    hub.private[NAME] = False
    done = push(hub, model, NAME)
    assert done.returncode == 2 and "exists and is public; give --public" in done.stderr
    assert not hub.files
    done = push(hub, model, NAME, "--public")
    assert done.returncode == 0 and "names no license" in done.stdout
    assert done.stdout.splitlines()[-1].endswith("(public)")


@pytest.mark.parametrize(
    ("token", "message"),
    [
        (None, "error: no token for the Hub: run `hf auth login`"),
        ("hf_wrong", "the Hub refused somebody/toy"),
    ],
    ids=["none", "another's"],
)
def test_tokens(hub, model, token, message):
    done = push(hub, model, NAME, token=token)
    assert done.returncode == 2 and message in done.stderr.splitlines()[-1]
    assert "hf_wrong" not in done.stdout + done.stderr and not hub.files


def test_a_card_that_the_hub_refuses(hub, model):
    card = model / "README.md"
    card.write_text(card.read_text().replace("---\n", "---\nlicense: [1]\n", 1))
    done = push(hub, model, NAME)
    assert done.returncode == 2 and 'README.md: Invalid metadata in README.md. - "license"' in done.stderr
    assert not hub.files


def test_nobody_there(hub, model):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        hub.address = f"http://127.0.0.1:{free.getsockname()[1]}"
    done = push(hub, model, NAME)
    assert done.returncode == 2 and "cannot be reached" in done.stderr and "Traceback" not in done.stderr


def test_a_folder_that_is_not_an_exported_model_raises(model):
    for name, message in (
        ("toy", "name its owner"),
        ("a/b/c", "not the name of a repository"),
        ("a/-b", "not the name"),
    ):
        with pytest.raises(TlmError, match=message):
            plan(model, name, public=False)
    weights = model / "model.safetensors"
    os.truncate(weights, weights.stat().st_size - 1)
    with pytest.raises(TlmError, match="content differs"):
        plan(model, NAME, public=False)
    shutil.copytree(model, model.parent / "bare")
    (model.parent / "bare/manifest.json").unlink()
    with pytest.raises(TlmError, match=r"has no manifest\.json"):
        plan(model.parent / "bare", NAME, public=False)
