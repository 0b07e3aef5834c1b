"""Speed of `tlm predict` against the pipeline of transformers, with the same model, texts, threads and process.

    python bench/predict.py --model models/pubmed-rct --input data/tasks/pubmed-rct/test.parquet --threads 1

After a warm-up, rounds alternate between the two, and the best round of each counts, so that other work on the machine
matters less. The script compares the predictions, too. The last line is JSON; compare ratios, not times.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from transformers import pipeline

from tlm.errors import TlmError
from tlm.process import run_script
from tlm.serving.classifier import Classifier
from tlm.serving.predict import PredictOptions, predict_file


def seconds(work: Callable[[], object]) -> float:
    """Wall-clock time of one call."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", type=Path, required=True, help="a folder of models/ for single texts")
    parser.add_argument("--input", type=Path, required=True, help=".parquet with a column `text`")
    parser.add_argument("--rows", type=int, default=500, help="default: %(default)s")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument(
        "--precision", choices=("fp32", "bf16", "auto"), default="fp32", help="of tlm predict"
    )
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    ours = Classifier.load(options.model, precision=options.precision, threads=options.threads)
    texts = pq.read_table(options.input, columns=["text"])["text"].to_pylist()[: options.rows]
    if not texts or ours.served.regression:
        raise TlmError("give a classifier and a file with rows to classify")
    theirs = pipeline("text-classification", model=str(options.model), truncation=True, device=ours.device)
    predicted: dict[str, list[str]] = {}
    with tempfile.TemporaryDirectory() as folder:
        source, scored = Path(folder) / "texts.parquet", Path(folder) / "scored.parquet"
        pq.write_table(pa.table({ours.served.columns.text[0]: texts}), source)

        def tlm_predict() -> None:
            predict_file(ours, source, scored, PredictOptions(text=ours.served.columns.text[:1]))
            predicted["tlm"] = pq.read_table(scored)["prediction"].to_pylist()

        def with_batches(size: int) -> Callable[[], None]:
            def work() -> None:
                predicted[f"pipeline, batches of {size}"] = [
                    each["label"] for each in theirs(texts, batch_size=size)
                ]

            return work

        contestants = {"tlm": tlm_predict}
        contestants |= {f"pipeline, batches of {size}": with_batches(size) for size in (1, 32)}
        for work in contestants.values():
            work()
        rounds = [{name: seconds(work) for name, work in contestants.items()} for _ in range(options.rounds)]
    times = {name: min(each[name] for each in rounds) for name in contestants}
    best = min(value for name, value in times.items() if name != "tlm")
    agree = {
        name: float(np.mean(np.array(labels) == np.array(predicted["tlm"])))
        for name, labels in predicted.items()
    }
    for name, value in times.items():
        print(f"{name:28} {len(texts) / value:10,.0f} texts/s   same class {agree[name]:.4f}")
    result = {
        "texts": len(texts),
        "length": ours.served.length,
        "threads": options.threads,
        "device": ours.device.type,
        "precision": ours.precision,
        "texts_per_second": {name: len(texts) / value for name, value in times.items()},
        "same_class": agree,
        "ratio": best / times["tlm"],  # how many times as fast as the faster of the pipelines
    }
    print(json.dumps(result))


if __name__ == "__main__":
    run_script(main)
