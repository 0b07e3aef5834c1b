"""Train a WordPiece tokenizer on the corpus, or load a pretrained tokenizer by its name.

Place in the flow: corpus → tokenizer → tokens. The paper uses BERT's 30,522 uncased pieces. The demo learns 8,192
pieces from its corpus, which makes the output layer four times cheaper (docs/differences.md).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import cast

import numpy as np
import pyarrow.parquet as pq
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from tlm.artifacts import Manifest, read_manifest, staged_directory, write_manifest
from tlm.config.training import TokenizerSpec
from tlm.errors import TlmError

SPECIALS = {
    "pad_token": "[PAD]",
    "unk_token": "[UNK]",
    "cls_token": "[CLS]",
    "sep_token": "[SEP]",
    "mask_token": "[MASK]",
}
_ALPHABET = 160  # letters, digits, punctuation and usual symbols; each may take two entries (c and ##c)
_READ_ROWS = 8192


@dataclass(frozen=True)
class Vocabulary:
    """The properties of a tokenizer that batches need: its size and the ids of its special tokens."""

    size: int
    pad: int
    cls: int
    sep: int
    mask: int
    specials: tuple[int, ...]
    between: int = 1
    """Number of separators between the two texts of a pair; two for RoBERTa."""

    @cached_property
    def is_special(self) -> np.ndarray:
        """True for the ids of special tokens, which are never masked; (size,) bool."""
        return np.isin(np.arange(self.size), self.specials)

    @cached_property
    def ordinary(self) -> np.ndarray:
        """Ids that may replace a masked token: all except the special ones, (size - specials,) int64."""
        return np.flatnonzero(~self.is_special)


def load_tokenizer(directory: Path) -> PreTrainedTokenizerFast:
    """The tokenizer of a `tokenizer` artifact."""
    read_manifest(directory, "tokenizer")
    return cast(PreTrainedTokenizerFast, AutoTokenizer.from_pretrained(directory))


def vocabulary_of(tokenizer: PreTrainedTokenizerFast) -> Vocabulary:
    """Read the ids of a loaded tokenizer. Raises TlmError if one of the five special tokens is missing."""
    ids = [getattr(tokenizer, f"{name}_id") for name in SPECIALS]
    if None in ids:
        missing = [name for name, value in zip(SPECIALS, ids, strict=True) if value is None]
        raise TlmError(
            f"tokenizer has no {', '.join(missing)}; masked language modelling needs all five special tokens"
        )
    pad, _, cls, sep, mask = ids
    between = tokenizer("a", "a")["input_ids"].count(sep) - 1
    specials = tuple(sorted(set(tokenizer.all_special_ids)))
    return Vocabulary(len(tokenizer), pad, cls, sep, mask, specials, between)


def build_tokenizer(corpus_dir: Path | None, destination: Path, spec: TokenizerSpec) -> Manifest:
    """Train (or fetch) the tokenizer that `spec` describes and save it as a `tokenizer` artifact.

    The training text is every n-th passage of the `corpus` artifact, with n such that about `sample_bytes` remain.
    Every run gives the same result, although the trainer's order of ties varies (see `_train`). A pretrained
    tokenizer needs no corpus. Raises TlmError for a missing or empty corpus, or a vocabulary smaller than the alphabet.
    """
    inputs: dict[str, str] = {}
    if spec.pretrained is not None:
        tokenizer, sampled = _fetch(spec.pretrained, spec.revision), {}
    elif corpus_dir is None:
        raise TlmError("a tokenizer is trained on a corpus: give --corpus, or set tokenizer.pretrained")
    else:
        corpus = read_manifest(corpus_dir, "corpus")
        inputs["corpus"] = corpus.digest
        stride = max(1, -(-int(corpus.counts["bytes"]) // spec.sample_bytes))
        texts = list(_passages(corpus_dir, stride))
        if not texts:
            raise TlmError(f"{corpus_dir}: no passages to train a tokenizer on; check the corpus's sources")
        tokenizer = _wrap(_train(texts, spec), spec)
        sampled = {"sampled_passages": len(texts), "sampled_bytes": sum(len(text.encode()) for text in texts)}
    vocabulary = vocabulary_of(tokenizer)
    with staged_directory(destination) as working:
        tokenizer.save_pretrained(working)
        return write_manifest(
            working,
            "tokenizer",
            counts={"vocabulary": vocabulary.size, **sampled},
            parameters=spec.model_dump(mode="json"),
            inputs=inputs,
        )


def _fetch(name: str, revision: str | None) -> PreTrainedTokenizerFast:
    try:
        loaded = AutoTokenizer.from_pretrained(name, revision=revision or "main")
        tokenizer = cast(PreTrainedTokenizerFast, loaded)
    except (OSError, ValueError) as error:
        raise TlmError(f"tokenizer {name!r} cannot be loaded: {str(error).splitlines()[0]}") from None
    if not tokenizer.is_fast:
        raise TlmError(f"tokenizer {name!r} has no fast version; name one that has a tokenizer.json")
    return tokenizer


def _passages(corpus_dir: Path, stride: int) -> Iterator[str]:
    """Every `stride`-th text of the corpus, in passage order."""
    position = 0
    for part in sorted(corpus_dir.glob("part-*.parquet")):
        with pq.ParquetFile(part) as file:
            for batch in file.iter_batches(_READ_ROWS, columns=["text"]):
                texts = batch.column(0)
                for row in range(-position % stride, len(texts), stride):
                    yield texts[row].as_py()
                position += len(texts)


def _alphabet(texts: list[str], normalizer: normalizers.Normalizer) -> list[str]:
    """The most frequent characters after normalisation, at most `_ALPHABET`; ties in code-point order."""
    points: Counter[int] = Counter()
    for start in range(0, len(texts), 2000):
        codes = np.frombuffer("".join(texts[start : start + 2000]).encode("utf-32-le"), np.uint32)
        for code, count in zip(*np.unique(codes, return_counts=True), strict=True):
            points[int(code)] += int(count)
    characters: Counter[str] = Counter()
    for code, count in points.items():
        for character in normalizer.normalize_str(chr(code)):
            if not character.isspace():
                characters[character] += count
    return sorted(sorted(characters, key=lambda c: (-characters[c], c))[:_ALPHABET])


def _train(texts: list[str], spec: TokenizerSpec) -> dict[str, int]:
    """Learn the pieces: {piece: id}, specials first.

    The trainer breaks ties between merges by the ids of their parts, and assigns those ids in the order of a hash
    map, which differs between runs. We fix these ids: the alphabet is given, and its continuation pieces are passed
    as special tokens. In the tokenizer that we build from the result, continuation pieces are ordinary tokens.
    """
    normalizer = _normalizer(spec)
    alphabet = _alphabet(texts, normalizer)
    continued = [f"##{character}" for character in alphabet]
    if len(SPECIALS) + 2 * len(alphabet) > spec.vocabulary:
        raise TlmError(f"tokenizer.vocabulary {spec.vocabulary} cannot hold the alphabet; use at least 512")
    learner = Tokenizer(models.WordPiece(unk_token=SPECIALS["unk_token"]))
    learner.normalizer = normalizer
    learner.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    trainer = trainers.WordPieceTrainer(
        vocab_size=spec.vocabulary,
        min_frequency=2,
        special_tokens=[*SPECIALS.values(), *continued],
        initial_alphabet=alphabet,
        limit_alphabet=len(alphabet),
        show_progress=False,
    )
    learner.train_from_iterator(texts, trainer=trainer)
    return learner.get_vocab()


def _normalizer(spec: TokenizerSpec) -> normalizers.Normalizer:
    return normalizers.BertNormalizer(lowercase=spec.lowercase)


def _wrap(pieces: dict[str, int], spec: TokenizerSpec) -> PreTrainedTokenizerFast:
    """A tokenizer with these pieces and BERT's format: [CLS] a [SEP] b [SEP] with token types 0 and 1."""
    tokenizer = Tokenizer(models.WordPiece(vocab=pieces, unk_token=SPECIALS["unk_token"]))
    tokenizer.normalizer = _normalizer(spec)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    cls, sep = SPECIALS["cls_token"], SPECIALS["sep_token"]
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{cls} $A {sep}",
        pair=f"{cls} $A {sep} $B:1 {sep}:1",
        special_tokens=[(cls, pieces[cls]), (sep, pieces[sep])],
    )
    names = ["input_ids", "token_type_ids", "attention_mask"]
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_input_names=names, **SPECIALS)
