"""A model as an ONNX file says what PyTorch says, for any batch and length; where the extra is installed."""

import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import documented
import numpy as np
import pytest
from serving_toy import TEXTS, expected_logits, random_model
from training_toy import LENGTH, Toy

from tlm.errors import TlmError
from tlm.serving import onnx_file
from tlm.serving.onnx_file import export_onnx

pytestmark = pytest.mark.skipif(
    any(find_spec(name) is None for name in ("onnx", "onnxscript", "onnxruntime")),
    reason="needs the extra `onnx`: pip install -e '.[onnx]'",
)


@pytest.fixture(scope="module")
def toy(tmp_path_factory) -> Toy:
    return Toy(tmp_path_factory.mktemp("toy"))


def program() -> str:
    """The program of docs/serving.md, where neither PyTorch nor this project can be imported."""
    blocks = [each.text for each in documented.blocks("docs/serving.md") if each.language == "python"]
    (code,) = [each for each in blocks if "onnxruntime" in each]
    guard = "import json, sys\nsys.modules.update(dict.fromkeys(('torch', 'transformers', 'tlm')))\n"
    assert 'folder = "models/pubmed-rct"' in code
    code = code.replace('folder = "models/pubmed-rct"', "folder = sys.argv[1]")
    answer = "texts = json.load(sys.stdin)\nprint(json.dumps([logits(texts[:1]).tolist(), logits(texts[1:]).tolist()]))"
    return f"{guard}{code}\n{answer}"


@pytest.mark.parametrize("architecture", ["modernbert", "bert"])
def test_it_serves_without_pytorch(toy, tmp_path, architecture):
    """Pairs for BERT, whose token types tell the two texts apart; mean pooling for ModernBERT."""
    pair = architecture == "bert"
    pooling = {} if pair else {"pooling": "mean"}
    folder = random_model(tmp_path / "model", toy, pair=pair, architecture=architecture, **pooling)
    destination = folder / "onnx/model.onnx"
    assert export_onnx(folder, destination) < 1e-4
    first, second = TEXTS[-9:], TEXTS[:9]
    given = [list(both) for both in zip(first, second, strict=True)] if pair else first
    done = subprocess.run(
        [sys.executable, "-c", program(), str(folder)],
        input=json.dumps(given),
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert done.returncode == 0, done.stderr
    found = [row for batch in json.loads(done.stdout) for row in batch]
    assert np.allclose(found, expected_logits(folder, first, second if pair else None), atol=1e-4)
    data = destination.read_bytes()
    for trace in (b"site-packages", b".py", str(Path.home()).encode(), str(tmp_path).encode()):
        assert trace not in data  # the exporter notes from which line of which file a node came
    assert [path.name for path in destination.parent.iterdir()] == ["model.onnx"]
    check_free_shapes(destination)


def check_free_shapes(path: Path) -> None:
    """One file for all batches and lengths that a server meets; padding changes nothing."""
    import onnxruntime

    session = onnxruntime.InferenceSession(path)
    assert {tuple(each.shape) for each in session.get_inputs()} == {("batch", "length")}
    one = np.array([[2, 7, 9, 3]])

    def logits(rows: int, width: int) -> np.ndarray:
        ids = np.zeros((rows, width), np.int64)
        ids[:, :4] = one
        inside = (np.arange(width) < 4) + np.zeros_like(ids)
        parts = {"input_ids": ids, "attention_mask": inside, "token_type_ids": np.zeros_like(ids)}
        return session.run(None, {each.name: parts[each.name] for each in session.get_inputs()})[0]

    alone = logits(1, 4)
    for rows, width in ((1, LENGTH), (7, 5), (3, LENGTH)):
        assert np.allclose(logits(rows, width), alone, atol=1e-5)


def test_a_file_that_disagrees_is_not_kept(toy, tmp_path, monkeypatch):
    folder = random_model(tmp_path / "model", toy)
    monkeypatch.setattr(onnx_file, "_write", lambda *arguments: arguments[-1].write_bytes(b"graph"))
    monkeypatch.setattr(onnx_file, "_compare", lambda *_: 0.5)
    with pytest.raises(TlmError, match=r"differ from PyTorch's by 5\.0e-01"):
        export_onnx(folder, folder / "onnx/model.onnx")
    monkeypatch.setattr(onnx_file, "_compare", lambda *_: float("nan"))
    with pytest.raises(TlmError, match="nan"):
        export_onnx(folder, folder / "onnx/model.onnx")
    assert not list((folder / "onnx").iterdir())


def test_without_the_extra(toy, tmp_path, monkeypatch):
    monkeypatch.setattr(onnx_file, "find_spec", lambda name: None if name == "onnxscript" else name)
    with pytest.raises(TlmError, match=r"needs onnxscript; install them with `pip install -e '\.\[onnx\]'`"):
        export_onnx(tmp_path, tmp_path / "model.onnx")
