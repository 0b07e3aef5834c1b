"""A vocabulary for writing without spaces between words: characters of such scripts, word pieces of the rest.

Place in the flow: `tlm new` → here → `config/own/<name>.tokenizer-<digest>`, which the configuration names as its
`tokenizer.pretrained`, like any other pretrained tokenizer. BERT's multilingual vocabulary treats Chinese in this way
(Devlin et al. 2019); here Japanese kana, Thai, Lao, Khmer and Myanmar are also cut into characters with their marks.
"""

from __future__ import annotations

import json
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import regex
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from tlm.artifacts import sha256_bytes, staged_directory, write_manifest
from tlm.config.training import TokenizerSpec
from tlm.own.language import UNSPACED
from tlm.training.tokenizer import SPECIALS, build_tokenizer, load_tokenizer

_CLUSTER = rf"{UNSPACED.pattern}\p{{M}}*"
_PIECES = 1024
"""The fewest entries that are word pieces: digits, Latin letters and parts of names."""


def build_characters(texts: Sequence[str], folder: Path, name: str, vocabulary: int) -> Path:
    """Learn from `texts` and save below `folder` as `<name>.tokenizer-<digest>`; the same texts give the same folder.

    Characters that occur more than once get entries of `vocabulary` first, the most frequent first.
    """
    clusters: Counter[str] = Counter()
    for text in texts:
        clusters.update(match[0] for match in regex.finditer(_CLUSTER, text.lower()))
    frequent = sorted(
        (each for each, count in clusters.items() if count > 1), key=lambda e: (-clusters[e], e)
    )
    frequent = frequent[: vocabulary - _PIECES]
    pieces = _word_pieces(
        [regex.sub(_CLUSTER, " ", text.lower()) for text in texts], vocabulary - len(frequent)
    )
    tokenizer = _joined(pieces, frequent)
    digest = sha256_bytes(json.dumps(tokenizer.get_vocab(), sort_keys=True).encode())[:8]
    destination = folder / f"{name}.tokenizer-{digest}"
    with staged_directory(destination) as working:
        tokenizer.save_pretrained(working)
        counts = {"characters": len(frequent), "vocabulary": len(tokenizer)}
        write_manifest(working, "tokenizer", counts=counts, parameters={"vocabulary": vocabulary})
    return destination


def _word_pieces(texts: Sequence[str], entries: int) -> PreTrainedTokenizerFast:
    """WordPiece trained on the rest of the text, as for any other corpus."""
    with tempfile.TemporaryDirectory(prefix="tlm-new-") as name:
        corpus, trained = Path(name) / "corpus", Path(name) / "tokenizer"
        corpus.mkdir()
        pq.write_table(pa.table({"text": list(texts)}), corpus / "part-00000.parquet")
        size = sum(len(text.encode()) for text in texts)
        write_manifest(corpus, "corpus", counts={"bytes": size}, parameters={})
        build_tokenizer(corpus, trained, TokenizerSpec(vocabulary=entries, lowercase=False))
        return load_tokenizer(trained)


def _joined(pieces: PreTrainedTokenizerFast, characters: Sequence[str]) -> PreTrainedTokenizerFast:
    """Both vocabularies in one tokenizer that cuts out the characters before it cuts words."""
    backend = pieces.backend_tokenizer
    entries = backend.get_vocab()
    for character in characters:
        entries.setdefault(character, len(entries))
    joined = Tokenizer(models.WordPiece(vocab=entries, unk_token=SPECIALS["unk_token"]))
    # Marks are part of a character here; BERT's lower-casing would remove them.
    joined.normalizer = normalizers.Sequence(
        [normalizers.BertNormalizer(lowercase=True, strip_accents=False), normalizers.NFC()]
    )
    joined.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(Regex(_CLUSTER), "isolated"), pre_tokenizers.BertPreTokenizer()]
    )
    joined.decoder = backend.decoder
    joined.post_processor = backend.post_processor
    return PreTrainedTokenizerFast(
        tokenizer_object=joined, model_input_names=pieces.model_input_names, **SPECIALS
    )
