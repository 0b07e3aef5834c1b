"""Training speed: a loop like the authors' against ours, with the same model on the same text.

    python bench/training.py [--tokens data/tokens/... --tokenizer data/tokenizers/...] [--threads 2]

(a) is a loop like the authors', written with `transformers`: fp32, every row padded to 128, the language-model head
at all positions, unfused AdamW. (b) is `tlm.training` as a run uses it, loop included. Rounds of some seconds alternate
between the two, and the median round counts. Real tokens exclude padding. The script also measures the peak FLOP/s of a
matrix product (GEMM), and prints the share of it that training reaches. The last line is JSON.
"""

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator

from tlm.config.training import ModelSpec, Optimizer
from tlm.evaluation.flops import MatmulWork, Shape, matmul_flops
from tlm.training.batches import Stream, input_lengths
from tlm.training.execution import Execution
from tlm.training.loop import train
from tlm.training.masking import TrainingData
from tlm.training.model import TwoHeads, build_mlm
from tlm.training.objective import stage1_weights
from tlm.training.precision import resolve
from tlm.training.stage_plan import StagePlan, TrainingStep
from tlm.training.tokenizer import Vocabulary, load_tokenizer, vocabulary_of
from tlm.training.tokens import Store

LENGTH, ROWS, MASKED = 128, 32, 0.15
RECIPE = Optimizer(learning_rate=2e-3, betas=(0.9, 0.98), decay_fraction=0.6)
VOCABULARY = Vocabulary(8192, pad=0, cls=2, sep=3, mask=4, specials=(0, 1, 2, 3, 4))


@dataclass(frozen=True)
class Round:
    """Speed of one round."""

    real_tokens_per_second: float
    flops_per_second: float = 0.0


def model_spec(layers: int, hidden: int) -> ModelSpec:
    """The encoder of the small scales (config/scales): GeGLU of 1.5 · hidden, heads of 64."""
    return ModelSpec(
        architecture="modernbert",
        hidden_size=hidden,
        layers=layers,
        heads=hidden // 64,
        intermediate_size=3 * hidden // 2,
        max_length=LENGTH,
    )


def some_text(rows: int = 20_000) -> Store:
    """Random ids in passages of 30 to 160 tokens, if no tokens are given; speed does not depend on the ids."""
    rng = np.random.default_rng(0)
    lengths = rng.integers(30, 161, rows)
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    return Store(rng.integers(5, VOCABULARY.size, offsets[-1]).astype(np.uint16), offsets)


def gemm_peak(dtype: torch.dtype, seconds: float = 1.0) -> float:
    """The best FLOP/s of a large matrix product, 4096 x 1024 by 1024 x 1024, repeated for some seconds."""
    a, b = torch.randn(4096, 1024).to(dtype), torch.randn(1024, 1024).to(dtype)
    best, end = 0.0, time.perf_counter() + seconds
    while time.perf_counter() < end:
        started = time.perf_counter()
        torch.mm(a, b)
        best = max(best, 2 * 4096 * 1024 * 1024 / (time.perf_counter() - started))
    return best


def authors_shape(source: TrainingData, spec: ModelSpec, vocabulary: Vocabulary) -> Callable[[float], Round]:
    """fp32, rows padded to `LENGTH`, the language-model head at all positions, unfused AdamW."""
    model = build_mlm(spec, vocabulary, attention="sdpa", seed=1)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, foreach=False, fused=False)
    rng = np.random.default_rng(0)
    order = rng.permutation(len(source.store))
    done = 0

    def step() -> int:
        nonlocal done
        rows = order[np.arange(done * ROWS, (done + 1) * ROWS) % len(order)]  # no bucketing
        done += 1
        shuffled = TrainingData(source.store, _Fixed(source.stream, rows), LENGTH)
        batch = shuffled.masked(0, vocabulary, MASKED)
        input_ids = torch.full((ROWS, LENGTH), vocabulary.pad)
        input_ids[:, : batch.padded_length] = torch.from_numpy(batch.input_ids)
        labels = torch.full((ROWS, LENGTH), -100)
        wanted = labels[:, : batch.padded_length].flatten()
        wanted[batch.positions] = torch.from_numpy(batch.targets)
        labels[:, : batch.padded_length] = wanted.view(ROWS, -1)
        mask = (torch.arange(LENGTH) < torch.from_numpy(batch.lengths)[:, None]).long()
        model(input_ids=input_ids, attention_mask=mask, labels=labels).loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0, foreach=False)
        optimizer.step()
        optimizer.zero_grad()
        return int(batch.lengths.sum())

    step()

    def measure(seconds: float) -> Round:
        started, tokens = time.perf_counter(), 0
        while (spent := time.perf_counter() - started) < seconds:
            tokens += step()
        return Round(tokens / spent)

    return measure


class _Fixed(Stream):
    """A stream with a single given batch."""

    def __init__(self, like: Stream, rows: np.ndarray) -> None:
        self.lengths, self.seed, self.name, self.rows = like.lengths, like.seed, like.name, rows

    def batch(self, index: int) -> np.ndarray:
        return self.rows


def ours(
    source: TrainingData, spec: ModelSpec, vocabulary: Vocabulary, precision: str, accelerator: Accelerator
) -> Callable[[float], Round]:
    """The loop of stage 1 on external batches."""
    mlm = build_mlm(spec, vocabulary, attention="eager", seed=1)
    model = TwoHeads(mlm, None, bf16=precision == "bf16")
    shape = Shape("modernbert", spec.hidden_size, spec.layers, spec.intermediate_size, vocabulary.size, 1)

    def run(steps: int) -> tuple[Round, float]:
        plan = StagePlan(
            name="ours",
            seed=1,
            tokens=np.cumsum(
                [source.stream.lengths[source.stream.batch(i)].sum() for i in range(steps)]
            ).tolist(),
            step=lambda number: TrainingStep(False, [source.masked(number, vocabulary, MASKED)]),
            weights=lambda step: stage1_weights(False, 20, step.batches),
            nominal_length=lambda internal: LENGTH,
            optimizer=RECIPE,
            chance=float(np.log(vocabulary.size)),
            evaluations=1,
            checkpoint_every=steps + 1,
        )
        with tempfile.TemporaryDirectory() as folder:
            done = train(plan, model, accelerator, Path(folder), {})
        work = done.work.external
        flops = matmul_flops(
            shape, MatmulWork(work.padded_tokens, work.squared_lengths, work.masked_positions, 0)
        ).total
        return Round(work.real_tokens / done.seconds, flops / done.seconds), done.seconds / steps

    seconds_per_step = run(8)[1]

    def measure(seconds: float) -> Round:
        return run(max(4, round(seconds / seconds_per_step)))[0]

    return measure


def main() -> None:
    """Measure both sizes and print the table and its JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tokens", type=Path, help="tokens of a selection or corpus (default: random ids)")
    parser.add_argument("--tokenizer", type=Path, help="the tokenizer that made them")
    parser.add_argument("--sizes", nargs="+", default=["4x256", "2x128"], help="layers x hidden size")
    parser.add_argument("--precision", default="auto", choices=["auto", "fp32", "bf16"])
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--seconds", type=float, default=10.0, help="duration of each round")
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    accelerator = Execution(threads=args.threads, cpu=True).accelerator(Path.cwd(), idle_heads=False)
    precision = resolve(args.precision, "cpu")
    store = Store.open(args.tokens) if args.tokens else some_text()
    vocabulary = vocabulary_of(load_tokenizer(args.tokenizer)) if args.tokenizer else VOCABULARY
    stream = Stream(input_lengths(store, LENGTH), seed=1, name="external", batch_size=ROWS)
    source = TrainingData(store, stream, LENGTH)
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    result: dict[str, float | str] = {"precision": precision, "threads": args.threads}
    for size in args.sizes:
        layers, hidden = map(int, size.split("x"))
        spec = model_spec(layers, hidden)
        contestants = {
            "authors": authors_shape(source, spec, vocabulary),
            "ours": ours(source, spec, vocabulary, precision, accelerator),
        }
        rounds: dict[str, list[Round]] = {name: [] for name in contestants}
        peaks = []
        for _ in range(args.rounds):
            peaks.append(gemm_peak(dtype))
            for name, measure in contestants.items():
                rounds[name].append(measure(args.seconds))
        speed = {
            name: statistics.median(each.real_tokens_per_second for each in many)
            for name, many in rounds.items()
        }
        peak = max(peaks)
        share = statistics.median(each.flops_per_second for each in rounds["ours"]) / peak
        print(
            f"{size}: authors' shape {speed['authors']:,.0f} real tokens/s, ours {speed['ours']:,.0f} "
            f"({precision}), {speed['ours'] / speed['authors']:.2f}x; "
            f"{share:.0%} of {peak / 1e9:,.0f} GFLOP/s"
        )
        result |= {
            f"tokens_per_second_authors_{size}": round(speed["authors"]),
            f"tokens_per_second_ours_{size}": round(speed["ours"]),
            f"speedup_{size}": round(speed["ours"] / speed["authors"], 2),
            f"gemm_share_{size}": round(share, 3),
            f"gemm_peak_gflops_{size}": round(peak / 1e9, 1),
        }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
