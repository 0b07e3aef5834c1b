"""Figures: texts do not overlap, marks are visible in grey, and equal figures give equal bytes."""

import csv
import itertools

import numpy as np
import pytest
from conftest import ROOT
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.patches import FancyBboxPatch
from matplotlib.text import Text
from PIL import Image

from tlm.artifacts import write_json
from tlm.config.figures import (
    AttentionTable,
    Drawing,
    HeadsDrawing,
    PerformanceDrawing,
    PipelineDrawing,
    ShownModel,
    ShownRow,
)
from tlm.config.reported import load_reported
from tlm.errors import TlmError
from tlm.evaluation.attention_heads import AttentionArtifact, AttentionExample, count, stack
from tlm.results.attention import as_markdown, attention_rows
from tlm.results.calibration import reliability
from tlm.results.costs import JobCost
from tlm.results.figures import draw as draw_module
from tlm.results.figures.calibration import as_rows, draw_calibration
from tlm.results.figures.costs import draw_costs
from tlm.results.figures.graph_layout import crossings, lay_out
from tlm.results.figures.heads import classes, draw_heads, mosaic
from tlm.results.figures.learning import LearningCurve, draw_curves, draw_learning
from tlm.results.figures.performance import draw_performance
from tlm.results.figures.pipeline import draw_pipeline, wrapped
from tlm.results.figures.selection import SelectionPanel, SourceCounts, draw_selection, sources
from tlm.results.figures.style import save, styled, whiskers
from tlm.snakemake_adapter import parse_rule_graph, rule_graph

REPORTED = load_reported(ROOT / "config/reported.yaml")
RULES = sorted((ROOT / "workflow/rules").glob("*.smk"))
SENTENCE = "crystallographic comparison with the structurally related."
TOKENS = (
    "[CLS]",
    "crystal",
    "##lographic",
    "comparison",
    "with",
    "the",
    "structurally",
    "related",
    ".",
    "[SEP]",
)
SPECIAL = np.array([token in ("[CLS]", "[SEP]") for token in TOKENS])
VERTICAL = SPECIAL | np.array([token == "." for token in TOKENS])
DOT = """digraph snakemake_dag {
	0[label = "table", color = "0.5 0.6 0.85", style="rounded"];
	1[label = "cell", color = "0.5 0.6 0.85", style="rounded"];
	2[label = "evaluate", color = "0.5 0.6 0.85", style="rounded,dashed"];
	3[label = "linear", color = "0.5 0.6 0.85", style="rounded"];
	4[label = "task", color = "0.5 0.6 0.85", style="rounded"];
	1 -> 0
	2 -> 1
	3 -> 1
	4 -> 2
	4 -> 3
}
"""


def heads(layers, number, seed):
    """Random weights with a positional head at (0, 0) and a vertical one in the last place."""
    weights = np.random.default_rng(seed).random((layers, number, len(TOKENS), len(TOKENS)))
    weights[0, 0] += 9 * np.eye(len(TOKENS), k=1)
    weights[-1, -1, :, 0] += 9
    return weights / weights.sum(-1, keepdims=True)


def model(variant, seed=1, *, layers=2, number=2, texts=6, spec=(1, 100), digest="d"):
    found = [
        count(heads(layers, number, 100 * seed + text), queries=~SPECIAL, targets=VERTICAL)
        for text in range(texts)
    ]
    weights = heads(layers, number, seed).astype(np.float32)
    return AttentionArtifact(
        folder=ROOT / variant,
        task="chemprot",
        task_digest=digest,
        variant=variant,
        seed=seed,
        spec={"seed": spec[0], "resamples": spec[1]},
        hits=stack(found),
        examples={"chemprot": AttentionExample(SENTENCE, TOKENS, weights, SPECIAL, VERTICAL)},
    )


def heads_drawing(*variants):
    return HeadsDrawing(
        kind="heads",
        title="Attention",
        example="chemprot",
        tasks=("chemprot",),
        models=[ShownModel(variant=name, label=name.upper()) for name in variants],
        task="chemprot",
    )


def cell(row, column, mean, sd=None):
    return {
        "table": "table2",
        "row": row,
        "column": column,
        "mean": mean,
        "sd": sd,
        "scale": "demo",
        "made_from": [{"task": task, "seed": 1} for task in ("a", "b")],
    }


PERFORMANCE = PerformanceDrawing(
    kind="performance",
    title="Average performance against relative FLOPs",
    table="table2",
    paper="table2",
    reported=[
        {"label": "TLM", "rows": ["tlm-small", "tlm-medium", "tlm-large"]},
        {"label": "BERT", "rows": ["bert-base", "bert-large"]},
        {"label": "RoBERTa", "rows": ["roberta-base", "roberta-large"]},
    ],
    rows=[ShownRow(row=row, series=row.upper()) for row in ("tlm", "plm", "tfidf")],
)
CELLS = [
    cell("tlm", "average", 74.2, 0.5),
    cell("tlm", "flops", 4.1e12),
    cell("plm", "average", 73.8, 0.4),
    cell("plm", "flops", 8.9e12),
    cell("tfidf", "average", 76.1),
    cell("tfidf", "flops", None),
]


def calibrated(label, seed=1, rows=300, power=1.0):
    """A model that is right with the probability confidence ** power."""
    draw = np.random.default_rng(seed)
    confidence = draw.uniform(0.34, 1, rows)
    return reliability(label, confidence, draw.random(rows) < confidence**power, resamples=100)


def learned(label, seed, start=6.5, points=6, tokens=600_000):
    at = np.linspace(tokens / 6, tokens, points) if points else np.array([])
    losses = start - at / tokens - 0.01 * seed
    return LearningCurve(label, seed, tuple(at), tuple(losses), (float(tokens), start - 1.05))


LEARNED = {
    task: [
        *(
            learned(name, seed, 6.5 - 0.1 * n)
            for n, name in enumerate(("BM25", "random", "DSIR"))
            for seed in (1, 2)
        ),
        learned("PLM", 1, 6.6, 0, 1_260_000),
    ]
    for task in ("pubmed-rct", "bbc-news", "rotten-tomatoes")
}


def found(sources, seed=1):
    names = [f"aws-documentation-{n}" for n in range(sources)]
    corpus = SourceCounts("whole corpus", {name: 100 * (n + 1) for n, name in enumerate(names)})
    draw = np.random.default_rng(seed)
    mixes = [
        SourceCounts(each, {name: int(draw.integers(1, 90)) for name in names})
        for each in ("BM25", "DSIR", "random")
    ]
    return SelectionPanel((corpus, *mixes), np.array([9, 5, 4, 2, 1]), 10)


def cost(row, task, seed, stage, flops=None, seconds=3.0):
    return JobCost(
        row, task, seed, stage, f"runs/{row}/{task}/{seed}/{stage}", flops, flops, None, seconds, seconds, 4e8
    )


COSTS = [
    cost(row, task, seed, stage, flops, seconds * (1 + seed))
    for row, stages in (
        ("TLM", {"task": (None, 1), "retrieve": (None, 20), "stage1": (1.6e12, 30), "evaluate": (None, 9)}),
        ("PLM", {"task": (None, 1), "stage1": (3.4e12, 70), "evaluate": (None, 9)}),
        ("TF-IDF", {"tfidf": (None, 2)}),
    )
    for task in ("a", "b")
    for seed in (1, 2)
    for stage, (flops, seconds) in stages.items()
]


def some_figures():
    yield "selection-1", lambda: draw_selection("Sources", {"imdb": found(1)})
    yield "selection-3", lambda: draw_selection("Sources", {f"task-{n}": found(5, n) for n in range(3)})
    yield "selection-8", lambda: draw_selection("Sources", {f"task-{n}": found(n + 5) for n in range(8)})
    yield "costs", lambda: draw_costs("What one run costs", COSTS)
    models = [calibrated("TLM", power=2), calibrated("PLM", 2), calibrated("TF-IDF", 3, power=0.5)]
    rows = [row for each in models for row in as_rows("agnews", 1, each)]
    for tasks in (1, 3, 8):
        yield (
            f"calibration-{tasks}",
            lambda tasks=tasks: draw_calibration(
                "Calibration on test texts", {f"rotten-{n}": models for n in range(tasks)}, rows
            ),
        )
    yield "learning-1", lambda: draw_learning("Held-out MLM loss", {"imdb": LEARNED["bbc-news"]})
    yield "learning-3", lambda: draw_learning("Held-out MLM loss", LEARNED)
    yield "performance", lambda: draw_performance(PERFORMANCE, CELLS, REPORTED)
    yield "heads-2x2", lambda: draw_heads(heads_drawing("tlm", "plm"), [model("tlm"), model("plm", 2)])
    large = [model(name, seed, layers=12, number=12) for seed, name in enumerate(("tlm", "bert", "other"))]
    yield "heads-12x12", lambda: draw_heads(heads_drawing("tlm", "bert", "other"), large)
    four = [model(f"m{seed}", seed, layers=4, number=4) for seed in range(4)]
    yield "heads-4-models", lambda: draw_heads(heads_drawing("m0", "m1", "m2", "m3"), four)
    yield "one-model", lambda: draw_heads(heads_drawing("tlm"), [model("tlm")])
    yield (
        "pipeline",
        lambda: draw_pipeline(
            PipelineDrawing(kind="pipeline", title="Rules", targets=["x"]), parse_rule_graph(DOT), RULES
        ),
    )


FIGURES = dict(some_figures())


def overlaps(figure):
    """Pairs of texts that touch, and texts that leave the page."""
    figure.canvas.draw()
    renderer = figure.canvas.get_renderer()
    hidden = set()
    for axis in (axis for axes in figure.axes for axis in (axes.xaxis, axes.yaxis)):
        drawn = axis._update_ticks()  # ticks beyond the limits exist, too, but are not drawn
        ticks = [*axis.get_major_ticks(), *axis.get_minor_ticks()]
        off = [tick for tick in ticks if tick not in drawn or not axis.axes.axison]
        hidden |= {label for tick in off for label in (tick.label1, tick.label2)}
    shown = [
        text
        for text in figure.findobj(Text)
        if text.get_visible() and text.get_text().strip() and text not in hidden
    ]
    boxes = [(text.get_text(), text.get_window_extent(renderer)) for text in shown]
    page = figure.bbox
    outside = [
        name
        for name, box in boxes
        if box.x0 < -1 or box.y0 < -1 or box.x1 > page.x1 + 1 or box.y1 > page.y1 + 1
    ]
    touching = [
        (one, other)
        for (one, a), (other, b) in itertools.combinations(boxes, 2)
        if min(a.x1, b.x1) - max(a.x0, b.x0) > 0.5 and min(a.y1, b.y1) - max(a.y0, b.y0) > 0.5
    ]
    return outside, touching


@pytest.mark.parametrize("name", FIGURES)
def test_no_text_overlaps_another_or_leaves_the_page(name):
    with styled():
        outside, touching = overlaps(FIGURES[name]().figure)
    assert not outside
    assert not touching


@pytest.mark.parametrize("name", [name for name in FIGURES if name[-2:] not in ("-3", "-8")])
def test_the_same_figure_is_the_same_bytes(name, tmp_path):
    for turn in ("one", "two"):
        with styled():
            paths = [tmp_path / f"{turn}.{end}" for end in ("pdf", "png", "csv")]
            save(FIGURES[name](), *paths)
    for end in ("pdf", "png", "csv"):
        assert (tmp_path / f"one.{end}").read_bytes() == (tmp_path / f"two.{end}").read_bytes()
    for word in (b"CreationDate", b"ModDate"):
        assert word not in (tmp_path / "one.pdf").read_bytes()


def test_a_users_matplotlibrc_has_no_effect(tmp_path):
    import matplotlib as mpl

    draw = FIGURES["performance"]
    with styled():
        save(draw(), *(tmp_path / f"plain.{end}" for end in ("pdf", "png", "csv")))
    with mpl.rc_context({"font.size": 20, "lines.linewidth": 9, "axes.facecolor": "black"}), styled():
        save(draw(), *(tmp_path / f"mine.{end}" for end in ("pdf", "png", "csv")))
    assert (tmp_path / "plain.png").read_bytes() == (tmp_path / "mine.png").read_bytes()


def test_marks_of_heads_are_visible_in_grey(tmp_path):
    """Frame and mask are darker than the page when colour is gone, and no two marks have the same grey."""
    with styled():
        save(FIGURES["heads-12x12"](), *(tmp_path / f"a.{end}" for end in ("pdf", "png", "csv")))
    image = Image.open(tmp_path / "a.png")
    colours = np.asarray(image.convert("RGB")).reshape(-1, 3).astype(int)
    grey = np.asarray(image.convert("L")).ravel()
    red = (colours[:, 0] > 180) & (colours[:, 1] < 40)
    assert red.sum() > 100 and grey[red].mean() < 100
    mask = (np.ptp(colours, axis=1) < 12) & (grey > 140) & (grey < 200)
    assert mask.sum() > 1000


def test_performance_is_relative_to_the_most_expensive_row_of_its_own_panel():
    with styled():
        drawn = draw_performance(PERFORMANCE, CELLS, REPORTED)
    rows = {(row["series"], row["row"]): row for row in drawn.rows}
    assert rows["PLM", "plm"]["relative_flops"] == 1
    assert rows["TLM", "tlm"]["relative_flops"] == pytest.approx(4.1 / 8.9)
    assert rows["TFIDF", "tfidf"]["relative_flops"] is None
    assert rows["RoBERTa", "roberta-large"]["relative_flops"] == 1
    assert rows["TLM", "tlm-large"]["relative_flops"] == pytest.approx(7.59e19 / 4.36e21)
    left, right = drawn.figure.axes
    assert left.get_xscale() == right.get_xscale() == "log"
    assert "demo" in left.get_title() and REPORTED.paper.version in right.get_title()


def test_without_reported_rows_performance_has_one_panel():
    drawn = draw_performance(PERFORMANCE.model_copy(update={"paper": None, "reported": ()}), CELLS, REPORTED)
    assert len(drawn.figure.axes) == 1
    assert {record["source"] for record in drawn.rows} == {drawn.figure.axes[0].get_title()}


def test_a_point_without_performance_raises():
    cells = [each for each in CELLS if (each["row"], each["column"]) != ("plm", "average")]
    with pytest.raises(TlmError, match="row plm has no average"):
        draw_performance(PERFORMANCE, cells, REPORTED)


def test_the_picture_holds_every_head_in_its_place():
    example = model("tlm", layers=3, number=2).examples["chemprot"]
    picture = mosaic(example)
    step = len(TOKENS) + 2
    assert picture.shape == (3 * step - 2, 2 * step - 2)
    assert np.array_equal(picture[2 * step :, step:], example.weights[2, 1])
    assert np.isnan(picture[:, len(TOKENS)]).all()


def test_frames_and_masks_come_from_the_sentence():
    example = model("tlm").examples["chemprot"]
    positional, vertical = classes(example.hits)
    assert np.argwhere(positional).tolist() == [[0, 0]] and np.argwhere(vertical).tolist() == [[1, 1]]
    with styled():
        drawn = draw_heads(heads_drawing("tlm"), [model("tlm")])
    red = [
        patch
        for patch in drawn.figure.axes[0].patches
        if patch.get_edgecolor()[:3] == (0xC1 / 255, 0x12 / 255, 0x1F / 255)
    ]
    assert [patch.get_xy() for patch in red] == [(-0.5, -0.5)]
    assert len(drawn.rows) == 4 and tuple(drawn.rows[0].values())[4:8] == (
        1,
        1,
        1.0,
        0.25,
    )  # the last word looks at the period, that at [SEP]


def test_very_different_budgets_give_a_logarithmic_axis():
    with styled():
        near = draw_learning("Loss", LEARNED).figure.axes[0]
        far = draw_learning(
            "Loss", {"a": [learned("BM25", 1), learned("PLM", 1, points=0, tokens=6e8)]}
        ).figure.axes[0]
    assert (near.get_xscale(), far.get_xscale()) == ("linear", "log")


def test_learning_curves_hold_every_measurement():
    with styled():
        drawn = draw_learning("Loss", LEARNED)
    assert len(drawn.rows) == 3 * (3 * 2 * (6 + 1) + 1)
    assert [row["measured"] for row in drawn.rows if row["model"] == "PLM"] == ["end"] * 3
    with pytest.raises(TlmError, match="have different numbers of points"):
        draw_curves(drawn.figure.axes[0], [learned("BM25", 1), learned("BM25", 2, points=3)])
    with pytest.raises(TlmError, match="no training has a held-out loss"):
        draw_curves(drawn.figure.axes[0], [LearningCurve("BM25", 1, (), ())])


def test_sources_are_ordered_as_in_the_corpus_and_small_ones_share_a_line():
    lines = sources(found(14).counts)
    assert len(lines) == 10 and len(lines[-1]) == 5
    shares = [found(14).counts[0].share(name) for (name,) in lines[:-1]]
    assert shares == sorted(shares, reverse=True)
    with styled():
        drawn = draw_selection("Sources", {"imdb": found(14)})
    assert len(drawn.rows) == 4 * 14 + 5
    assert sum(
        row["share"] for row in drawn.rows if (row["selector"], row["what"]) == ("BM25", "source")
    ) == pytest.approx(1)


def test_costs_say_how_many_jobs_have_no_benchmark():
    with styled():
        whole = draw_costs("Costs", COSTS)
        lacking = draw_costs("Costs", [*COSTS, cost("TLM", "a", 1, "corpus", seconds=None)])
    assert "no benchmark" not in whole.figure.get_suptitle()
    assert f"no benchmark of 1 of {len(COSTS) + 1} jobs" in lacking.figure.get_suptitle()
    for axes in whole.figure.axes:  # a decade at least: two labels
        low, high = axes.get_xlim()
        assert high / low > 10


def test_heads_of_another_task_raise():
    with pytest.raises(TlmError, match="on chemprot"):
        draw_heads(heads_drawing("tlm", "plm"), [model("tlm")])


@given(
    st.sets(
        st.tuples(st.integers(0, 8), st.integers(0, 8)).filter(lambda pair: pair[0] < pair[1]), min_size=1
    )
)
@settings(max_examples=40)
def test_a_layout_has_no_overlaps(pairs):
    edges = {(f"n{start}", f"n{end}") for start, end in pairs}
    nodes = {name for edge in edges for name in edge}
    layout = lay_out(nodes, edges)
    assert set(layout.at) == nodes and set(layout.routes) == edges
    for start, end in edges:
        route = layout.routes[start, end]
        assert route[0] == layout.at[start] and route[-1] == layout.at[end]
        assert [layer for _, layer in route] == list(range(layout.at[start][1], layout.at[end][1] + 1))
    for (_, a), (_, b) in itertools.combinations(layout.at.items(), 2):
        assert a[1] != b[1] or abs(a[0] - b[0]) >= 1 - 1e-6  # boxes are one wide
    for edge, route in layout.routes.items():  # no edge runs through a box
        for x, layer in route[1:-1]:
            for name, at in layout.at.items():
                assert name in edge or at[1] != layer or abs(at[0] - x) >= 0.5
    assert layout == lay_out(sorted(nodes, reverse=True), sorted(edges))


def test_avoidable_crossings_are_avoided():
    edges = {("a", "y"), ("b", "x"), ("c", "z"), ("x", "end"), ("y", "end"), ("z", "end")}
    layout = lay_out({name for edge in edges for name in edge}, edges)
    rows = [[], [], []]
    for name, (x, layer) in layout.at.items():
        rows[layer].append((x, name))
    assert crossings([[name for _, name in sorted(row)] for row in rows], edges) == 0


def test_a_cycle_raises():
    with pytest.raises(TlmError, match="cycle"):
        lay_out({"a", "b"}, {("a", "b"), ("b", "a")})


def test_the_graph_does_not_depend_on_snakemakes_numbers():
    names, edges = parse_rule_graph(DOT)
    assert names == ["cell", "evaluate", "linear", "table", "task"]
    renumbered = DOT
    for number in range(5):
        renumbered = renumbered.replace(f"{number}[", f"1{number}[")
    renumbered = (
        renumbered.replace("1 -> 0", "11 -> 10")
        .replace("2 -> 1\n", "12 -> 11\n")
        .replace("3 -> 1\n", "13 -> 11\n")
    )
    renumbered = renumbered.replace("4 -> 2", "14 -> 12").replace("4 -> 3", "14 -> 13")
    assert parse_rule_graph(renumbered) == (names, edges)
    with pytest.raises(TlmError, match="another format"):
        parse_rule_graph("digraph {}")


@pytest.mark.slow
def test_the_real_graph_has_the_steps_of_the_method_in_their_order():
    graph = rule_graph(["results/table2.csv"], '{"scale": "smoke"}', ROOT)
    names, edges = graph
    path = [
        "fetch",
        "task",
        "retrieve",
        "selection",
        "external_tokens",
        "stage1",
        "stage2",
        "evaluate",
        "cell",
        "table",
    ]
    assert set(itertools.pairwise(path)) <= set(edges)
    with styled():
        drawn = draw_pipeline(PipelineDrawing(kind="pipeline", title="Rules", targets=["x"]), graph, RULES)
        outside, touching = overlaps(drawn.figure)
        left = [box.get_x() for box in drawn.figure.axes[0].patches if isinstance(box, FancyBboxPatch)]
        assert len(left) == len(set(names))
        for text in drawn.figure.axes[0].texts:  # no text sticks out of its box
            box = text.get_window_extent().transformed(drawn.figure.axes[0].transData.inverted())
            assert any(x <= box.x0 and box.x1 <= x + 0.92 for x in left), text.get_text()
    assert not outside and not touching
    with pytest.raises(TlmError, match=r"rulegraph results/nothing\.pdf"):
        rule_graph(["results/nothing.pdf"], '{"scale": "smoke"}', ROOT)


def test_text_is_wrapped_by_its_width_and_ends_in_an_ellipsis():
    with styled():
        assert wrapped("one two", 500) == ["one two"]
        lines = wrapped("word " * 40, 100)
        assert len(lines) == 3 and lines[-1].endswith(" …")
        assert len(wrapped("iiii " * 9, 60)[0]) > len(wrapped("WWWW " * 9, 60)[0])


def test_a_rule_without_a_docstring_raises():
    with pytest.raises(TlmError, match="no declaration with a docstring"):
        draw_pipeline(
            PipelineDrawing(kind="pipeline", title="Rules", targets=["x"]), parse_rule_graph(DOT), []
        )


def test_a_figure_of_cells_is_read_from_their_files(tmp_path):
    paths = []
    for number, each in enumerate(CELLS):
        paths.append(tmp_path / f"{number}.json")
        write_json(paths[-1], each)
    with styled():
        drawn = draw_module.draw(Drawing(figure=PERFORMANCE), paths, REPORTED)
    assert len(drawn.rows) == 3 + 7


SPEC = AttentionTable(models=[ShownModel(variant="tlm", label="TLM"), ShownModel(variant="plm", label="PLM")])


def test_the_table_of_heads_gives_means_over_seeds_and_paired_differences():
    rows = attention_rows(SPEC, [model(name, seed) for name in ("tlm", "plm") for seed in (1, 2)])
    tlm, plm, difference = rows
    assert (tlm["task"], tlm["model"], tlm["seeds"], tlm["texts"], tlm["heads"]) == (
        "chemprot",
        "TLM",
        2,
        6,
        4,
    )
    assert tlm["positional"] == 1 and tlm["positional_by_seed"] == "1 1"
    assert tlm["vertical"] == plm["vertical"] == 1
    assert tlm["positional_share_low"] <= tlm["positional_share"] <= tlm["positional_share_high"]
    # The same heads on the same texts: resample by resample there is no difference.
    for name in ("positional", "vertical_share"):
        assert [difference[f"{name}{end}"] for end in ("", "_low", "_high")] == [0, 0, 0]
    assert "| chemprot | TLM − PLM |" in as_markdown(rows)
    assert list(csv.reader(as_markdown(rows).splitlines()))


def test_models_measured_on_different_texts_raise():
    with pytest.raises(TlmError, match="other texts"):
        attention_rows(SPEC, [model("tlm"), model("plm", digest="another")])
    with pytest.raises(TlmError, match="of plm on chemprot is missing"):
        attention_rows(SPEC, [model("tlm")])


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=9))
def test_whiskers_are_never_negative_and_reach_the_ends(values):
    centre = sum(values) / len(values)
    ends = whiskers([centre], [min(values)], [max(values)])
    assert (ends >= 0).all()
    assert np.allclose([centre - ends[0], centre + ends[1]], [[min(values)], [max(values)]], atol=1e-6)


def test_whiskers_tolerate_a_rounding_error():
    beyond = np.nextafter(0.1, 1)
    assert (
        whiskers([0.1, beyond], [beyond, 0.1], [beyond, 0.1]) == [[0, beyond - 0.1], [beyond - 0.1, 0]]
    ).all()
