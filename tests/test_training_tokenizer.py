"""The tokenizer: it is deterministic, has BERT's format, and raises clear errors."""

from pathlib import Path

import numpy as np
import pytest
from training_toy import Toy, write_corpus_artifact

from tlm.artifacts import verify
from tlm.config.training import TokenizerSpec
from tlm.errors import TlmError
from tlm.training.tokenizer import build_tokenizer, load_tokenizer, vocabulary_of


@pytest.fixture(scope="module")
def toy(tmp_path_factory) -> Toy:
    return Toy(tmp_path_factory.mktemp("toy"))


def test_training_twice_gives_the_same_bytes(toy: Toy, tmp_path: Path):
    # The library's own trainer does not: its ties follow a hash map's order.
    digests = {
        build_tokenizer(toy.corpus, tmp_path / str(i), TokenizerSpec(vocabulary=512)).digest for i in range(3)
    }
    assert digests == {verify(toy.tokenizer).digest}


def test_pieces_and_specials(toy: Toy):
    tokenizer = load_tokenizer(toy.tokenizer)
    vocabulary = vocabulary_of(tokenizer)
    assert vocabulary.size == len(tokenizer) <= 512
    assert (vocabulary.pad, vocabulary.cls, vocabulary.sep, vocabulary.mask) == (0, 2, 3, 4)
    assert len(vocabulary.ordinary) == vocabulary.size - 5
    assert not set(vocabulary.ordinary) & set(vocabulary.specials)
    encoded = tokenizer("The ROSE", "a boat")
    assert tokenizer.decode(encoded["input_ids"]) == "[CLS] the rose [SEP] a boat [SEP]"
    first = encoded["token_type_ids"].index(1)
    assert tokenizer.convert_ids_to_tokens(encoded["input_ids"])[first - 1] == "[SEP]"
    # A continuation piece that training saw as a special is an ordinary one again.
    assert "##e" in tokenizer.get_vocab()
    assert not any(token.startswith("##") for token in tokenizer.all_special_tokens)
    assert tokenizer.tokenize("[MASK] ##e") != ["[MASK]", "##e"]


def test_sampling_takes_an_even_stride(toy: Toy, tmp_path: Path):
    size = toy.corpus / "manifest.json"
    assert size.is_file()
    manifest = build_tokenizer(toy.corpus, tmp_path / "t", TokenizerSpec(vocabulary=512, sample_bytes=10_000))
    assert 5_000 < manifest.counts["sampled_bytes"] < 15_000


def test_pretrained_by_name(toy: Toy, tmp_path: Path):
    spec = TokenizerSpec(pretrained=str(toy.tokenizer))
    build_tokenizer(toy.corpus, tmp_path / "t", spec)
    texts = ["a rose", "the boat and the oven"]
    ours, theirs = load_tokenizer(tmp_path / "t"), load_tokenizer(toy.tokenizer)
    assert ours(texts)["input_ids"] == theirs(texts)["input_ids"]
    with pytest.raises(TlmError, match="cannot be loaded"):
        build_tokenizer(toy.corpus, tmp_path / "u", TokenizerSpec(pretrained=str(tmp_path / "none")))
    assert not (tmp_path / "u").exists()


def test_unsuitable_corpora_raise(tmp_path: Path):
    empty = write_corpus_artifact(tmp_path / "empty", [])
    with pytest.raises(TlmError, match="no passages"):
        build_tokenizer(empty, tmp_path / "t", TokenizerSpec())
    letters = "".join(map(chr, np.arange(0x4E00, 0x4E00 + 300)))
    many = write_corpus_artifact(tmp_path / "many", [letters])
    with pytest.raises(TlmError, match="alphabet"):
        build_tokenizer(many, tmp_path / "t", TokenizerSpec(vocabulary=256))
