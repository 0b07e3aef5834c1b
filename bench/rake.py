"""How often RAKE's query of a text depends on the stop words and on the sentence splitter.

Compares with rake-nltk's defaults: NLTK's stop words and its sentence splitter punkt. Both are inside the wheel of
llama-index-core on PyPI:

    pip download --no-deps llama-index-core==0.14.25
    unzip llama_index_core-0.14.25-py3-none-any.whl 'llama_index/core/_static/nltk_cache/*'
    python bench/rake.py --texts my-task/train.jsonl --nltk llama_index/core/_static/nltk_cache

The last line of the output is JSON: for each pair of stop words and splitter the share of texts whose query is another
one, and the mean share of words that both queries have in common (Jaccard).
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterable
from pathlib import Path

import nltk
import numpy as np
from nltk.tokenize import sent_tokenize
from rake_nltk import Rake
from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

from tlm.formats.files import Input
from tlm.formats.registry import read_rows
from tlm.formats.tables import TableOptions
from tlm.retrieval.stop_words import NLTK_ENGLISH
from tlm.text import clean, sentences

PHRASES = 20


def query(text: str, stop_words: Iterable[str], split: Callable[[str], list[str]]) -> str:
    """The 20 best phrases, joined."""
    extractor = Rake(stopwords=set(stop_words), sentence_tokenizer=split)
    extractor.extract_keywords_from_text(text)
    return " ".join(extractor.get_ranked_phrases()[:PHRASES])


def main() -> None:
    """Print the comparison."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--texts", type=Path, required=True, help="file with a column `text`")
    parser.add_argument("--nltk", type=Path, required=True, help="folder with NLTK's data")
    parser.add_argument("--count", type=int, default=500, help="texts to read (default: %(default)s)")
    args = parser.parse_args()
    nltk.data.path = [str(args.nltk)]
    rows = read_rows(Input(args.texts), TableOptions(required=("text",), only_required=True))
    texts = [clean(row["text"] or "") for _, (_, row) in zip(range(args.count), rows, strict=False)]
    theirs = [query(text, NLTK_ENGLISH, sent_tokenize) for text in texts]
    today = (args.nltk / "corpora/stopwords/english").read_text(encoding="utf-8").split()
    others: dict[str, tuple[Iterable[str], Callable[[str], list[str]]]] = {
        "stop_words: sklearn": (ENGLISH_STOP_WORDS, sentences),
        "stop_words: nltk": (NLTK_ENGLISH, sentences),
        "sklearn, punkt": (ENGLISH_STOP_WORDS, sent_tokenize),
        "the folder's NLTK list, punkt": (today, sent_tokenize),
    }
    found = {}
    for name, (stop_words, split) in others.items():
        ours = [query(text, stop_words, split) for text in texts]
        changed = float(np.mean([a != b for a, b in zip(theirs, ours, strict=True)]))
        common = float(np.mean([_jaccard(a, b) for a, b in zip(theirs, ours, strict=True)]))
        found[name] = {"changed": round(changed, 3), "words_in_common": round(common, 3)}
        print(f"{name}: {changed:.1%} of the queries differ, {common:.3f} of the words in common", flush=True)
    print(json.dumps({"texts": len(texts), "compared": found}))


def _jaccard(one: str, other: str) -> float:
    words = set(one.split()), set(other.split())
    return len(words[0] & words[1]) / max(1, len(words[0] | words[1]))


if __name__ == "__main__":
    main()
