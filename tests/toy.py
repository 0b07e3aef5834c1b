"""A synthetic task with a corpus to match, made by a small grammar: for tests that need data, offline.

Three classes, each with words of its own; a corpus whose passages speak of the same three topics, so that
retrieval has something to find, and of two others, so that it has something to leave out. The words are
everyday ones, so that a tiny model can learn them in seconds. Everything depends on the seed alone.
"""

# ruff: noqa: SIM905
from __future__ import annotations

import csv
import json
import random
from pathlib import Path

TOPICS = {
    "garden": "rose tulip soil spade bloom seed hedge lawn compost petal root orchard moss pond fern".split(),
    "kitchen": "oven flour butter knife soup pepper dough spoon bowl roast salt onion broth pan".split(),
    "harbour": "boat anchor sail tide gull rope dock wave mast crew net deck buoy captain storm".split(),
    "office": "desk memo printer chair meeting folder clerk stapler budget lamp invoice badge".split(),
    "railway": "train signal track tunnel whistle platform ticket engine bridge guard wagon".split(),
}
LABELS = ("garden", "harbour", "kitchen")  # the task's classes; the other topics are only in the corpus
_PEOPLE = "Anna Bert Carla Dirk Emma Frank Greta Hugo".split()
_VERBS = "takes moves finds cleans wants carries paints drops keeps borrows".split()
_PLACES = ["near the wall", "before noon", "without a word", "in the rain", "for a friend", "at last"]
_FRAMES = [
    "{who} {verb} the {a} and the {b} {place}.",
    "The {a} is old, but the {b} is new.",
    "{place}, {who} {verb} a {a} beside the {b}.",
    "Nobody {verb} the {a} when the {b} is there.",
    "With the {a} {who} {verb} every {b} {place}.",
]


def sentence(draw: random.Random, topic: str) -> str:
    """One sentence on `topic`."""
    a, b = draw.sample(TOPICS[topic], 2)
    text = draw.choice(_FRAMES).format(
        who=draw.choice(_PEOPLE), verb=draw.choice(_VERBS), a=a, b=b, place=draw.choice(_PLACES)
    )
    return text[0].upper() + text[1:]


def write_task(path: Path, rows: int = 300, seed: int = 1) -> None:
    """A CSV of `rows` texts of two sentences: columns `id`, `text`, `label`; balanced over LABELS."""
    draw = random.Random(f"task {seed}")
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(["id", "text", "label"])
        for number in range(rows):
            label = LABELS[number % len(LABELS)]
            writer.writerow([number, f"{sentence(draw, label)} {sentence(draw, label)}", label])


def write_pairs(path: Path, rows: int, seed: int) -> None:
    """A CSV of `rows` pairs of sentences: columns `first`, `second`, `score`, 5 for one topic and 0 for two."""
    draw = random.Random(f"pairs {seed}")
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(["first", "second", "score"])
        for number in range(rows):
            one, other = draw.sample(LABELS, 2)
            same = number % 2 == 0
            second = sentence(draw, one if same else other)
            writer.writerow([sentence(draw, one), second, 5.0 if same else 0.0])


def write_tags(path: Path, rows: int = 300, seed: int = 1) -> None:
    """JSON Lines of `rows` texts with any number of LABELS, also none: `text`, and the list `label`."""
    draw = random.Random(f"tags {seed}")
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8") as stream:
        for _ in range(rows):
            labels = [label for label in LABELS if draw.random() < 0.45]
            topics = [*labels, *([] if len(labels) == len(LABELS) else ["office"])]
            text = " ".join(sentence(draw, topic) for topic in draw.sample(topics, len(topics)))
            stream.write(json.dumps({"text": text, "label": labels}) + "\n")


def write_corpus(path: Path, documents: int = 2000, seed: int = 1) -> None:
    """Documents of 8 to 20 sentences on one topic: `.jsonl` with the field `text`, else blank-line text."""
    draw = random.Random(f"corpus {seed}")
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8") as stream:
        for _ in range(documents):
            topic = draw.choice(sorted(TOPICS))
            text = " ".join(sentence(draw, topic) for _ in range(draw.randint(8, 20)))
            stream.write(json.dumps({"text": text}) + "\n" if path.suffix == ".jsonl" else text + "\n\n")


def write_config(folder: Path, data: Path) -> None:
    """The three data files in `folder`, for the task `toy` and the corpus `toy` written to `data`."""
    write_task(data / "toy.csv")
    write_corpus(data / "toy.jsonl")
    sources = {
        "toy-task": {"files": [{"uri": f"file://{data / 'toy.csv'}"}]},
        "toy-text": {"files": [{"uri": f"file://{data / 'toy.jsonl'}"}]},
    }
    task = {
        "source": "toy-task",
        "parser": {"format": "delimited"},
        "metric": "macro_f1",
        "split": {"by": "row", "dev": 0.2, "test": 0.2},
    }
    corpus = {"parts": [{"source": "toy-text", "parser": {"format": "delimited"}}]}
    folder.mkdir(parents=True, exist_ok=True)
    for name, entries in (("sources", sources), ("tasks", {"toy": task}), ("corpora", {"toy": corpus})):
        # JSON is YAML.
        (folder / f"{name}.yaml").write_text(json.dumps({name: entries}, indent=2) + "\n", encoding="utf-8")
