"""The report of a task: it matches its artifacts, and its page shows it safely, for every kind of task."""

import dataclasses
import json
import re
from html.parser import HTMLParser

import pytest
from browser import PHONE
from page_toy import ROWS, Toy, write_toy
from sklearn.metrics import confusion_matrix, f1_score

from tlm.config.task_report import METHODS
from tlm.errors import TlmError
from tlm.evaluation.artifact import read_rows
from tlm.evaluation.temperature import fitted, served
from tlm.results.build_times import as_text
from tlm.results.calibration import reliability
from tlm.results.page import formatting, quality
from tlm.results.page.advice import advice
from tlm.results.page.gather import gather
from tlm.results.page.render import most_errors, render, with_code
from tlm.results.page.scored_runs import open_methods, open_stages
from tlm.results.page.task_report import NumberWithInterval, TaskReport

HOSTILE = ("<script>alert('x')</script>", '"><img src=x onerror=alert(1)>', "{{ r.task }} & co")
ARABIC = "قارب في الميناء " * 60

TOYS = {
    "three classes": Toy(),
    "two classes, one seed": Toy(labels=("no", "yes"), seeds=(1,), rows={**ROWS, "dev": 20}),
    "fifty classes": Toy(
        labels=tuple(f"class number {number}" for number in range(50)), rows={**ROWS, "test": 600}
    ),
    "regression": Toy(regression=True),
    "tags": Toy(tags=True),
    "hostile pairs": Toy(labels=HOSTILE, texts=(*HOSTILE, ARABIC), pair=True),
    "all right": Toy(right=dict.fromkeys(METHODS, 1.0)),
    "hidden test": Toy(rows={"train": 12, "dev": 60}),
    "one model": Toy(methods=("tlm", "tfidf"), seeds=(1,), slope=2.0),
    "flat curve": Toy(methods=("tlm", "tfidf"), seeds=(1,), slope=0.002),
}


@pytest.fixture(scope="module")
def reports(tmp_path_factory) -> dict[str, TaskReport]:
    folder = tmp_path_factory.mktemp("reports")
    return {
        name: gather(*write_toy(folder / str(number), toy)) for number, (name, toy) in enumerate(TOYS.items())
    }


@pytest.fixture(scope="module")
def pages(reports) -> dict[str, str]:
    return {name: render(report) for name, report in reports.items()}


class Reader(HTMLParser):
    """Opened elements with their attributes, and the text that is seen."""

    VOID = ("meta", "link", "img", "br")

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements, self.open, self.text = [], [], ""
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag, f"</{tag}> closes another element"

    def handle_data(self, data):
        if "style" not in self.open:
            self.text += data


def test_scores_match_the_predictions(reports, tmp_path):
    report = reports["three classes"]
    spec, folders = write_toy(tmp_path, TOYS["three classes"])
    methods = open_methods(spec.methods, folders.evaluations, open_stages(folders.stages), "test")
    for method, shown in zip(methods, report.methods[:-1], strict=True):  # the blend has no runs
        by_hand = [f1_score(run.labels, run.predictions, average="macro") for run in method.runs]
        assert shown.by_seed == pytest.approx(by_hand)
        assert shown.score.low < shown.score.value < shown.score.high
    best = max(methods[0].runs, key=lambda run: run.metrics["dev"]["primary"])
    assert report.shown == best.seed
    assert [list(line) for line in report.confusion] == confusion_matrix(
        best.labels, best.predictions, labels=list(report.labels)
    ).tolist()
    rows = read_rows(folders.task, "test")
    sure = [mistake.confidence for mistake in report.mistakes]
    assert len(sure) == 10 and sure == sorted(sure, reverse=True)
    for mistake in report.mistakes:
        place = rows.row_ids.tolist().index(mistake.row_id)
        assert (rows.texts[place], rows.labels[place]) == (mistake.text, mistake.label)
        assert mistake.prediction == best.predictions[place] != mistake.label


def test_the_page_shows_probabilities_of_the_exported_model(reports, pages, tmp_path):
    """Calibration, its figure and the mistakes use the exported model; the error as trained occurs once."""
    report, page = reports["three classes"], pages["three classes"]
    spec, folders = write_toy(tmp_path, TOYS["three classes"])
    (method, *_) = open_methods(spec.methods, folders.evaluations, open_stages(folders.stages), "test")
    (best,) = [run for run in method.runs if run.seed == report.shown]
    found, t = report.calibration, fitted(best.folder / "predictions.parquet", report.labels)
    assert found.temperature == t != 1
    given = served(best.probabilities, t)
    right = best.labels == best.predictions
    assert found.error.value == pytest.approx(reliability("m", given.max(axis=1), right, resamples=5).ece)
    assert found.confidence == pytest.approx(given.max(axis=1).mean())
    trained = reliability("m", best.probabilities.max(axis=1), right, resamples=5)
    assert found.before.value == pytest.approx(trained.ece) != pytest.approx(found.error.value)
    places = best.row_ids.tolist()
    for mistake in report.mistakes:
        assert mistake.confidence == pytest.approx(given[places.index(mistake.row_id)].max())
    text = f"Without it, the error would be {100 * trained.ece:.1f} %"
    assert page.count(text) == 1 and f"a temperature of {formatting.number(t)}, fitted on dev" in page
    assert "20 dev texts are too few to fit a temperature" in pages["two classes, one seed"]
    assert reports["two classes, one seed"].calibration.temperature == 1
    assert "fitted on these same texts" in pages["hidden test"]


def test_advice_uses_the_probabilities_of_the_exported_model(reports):
    for name, text in (
        ("three classes", "is still 30.0 %"),
        ("two classes, one seed", "50 or more"),
    ):
        report = reports[name]
        off = NumberWithInterval(value=0.3, low=0.2, high=0.4)
        before = report.calibration.model_copy(update={"before": off, "error": off, "by_chance": 0.29})
        assert not advice_on_probabilities(report.model_copy(update={"calibration": before}))
        after = report.calibration.model_copy(update={"error": off, "by_chance": 0.02})
        (line,) = advice_on_probabilities(report.model_copy(update={"calibration": after}))
        assert text in line


def advice_on_probabilities(report: TaskReport) -> list[str]:
    return [line for line in advice(report) if "probabilities" in line]


def test_costs_and_details_match_the_artifacts(reports):
    report = reports["three classes"]
    assert report.methods[0].cost.flops == 2e10 and report.methods[0].cost.memory == 10**9
    assert report.methods[-2].cost.flops is None and report.methods[-2].cost.seconds == 0.3
    assert report.methods[-1].name == "blend" and report.methods[-1].cost.seconds == pytest.approx(75.3)
    assert (report.data.lengths["test"].median, report.data.lengths["test"].cut) == (12, 1.0)
    assert reports["hostile pairs"].data.lengths["test"].median == 13
    assert report.settings["stage1.optimizer.betas"] == "0.9, 0.98"
    assert report.contamination[-1].found == 4
    assert report.corpus.seconds == {}  # no benchmark files
    assert [curve.method for curve in report.stage1] == [
        name for name in ("tlm", "task-only", "random") for _ in (1, 2)
    ]


def test_a_report_is_read_back_unchanged(reports):
    for report in reports.values():
        again = TaskReport.model_validate_json(report.model_dump_json())
        assert again.model_dump(mode="json") == report.model_dump(mode="json")


def test_the_page_depends_on_the_report_alone(reports, pages):
    report = reports["three classes"]
    assert render(TaskReport.model_validate_json(report.model_dump_json())) == pages["three classes"]


@pytest.mark.parametrize("name", TOYS)
def test_the_page_is_well_formed_and_loads_nothing(pages, name):
    reader = Reader(pages[name])
    assert not reader.open
    tags = [tag for tag, _ in reader.elements]
    assert "script" not in tags and tags.count("h1") == 1 and tags.count("main") == 1
    links = [value for _, each in reader.elements for key, value in each.items() if key in ("src", "href")]
    assert links and all(link.startswith(("#", "data:")) for link in links)
    ids = [each["id"] for _, each in reader.elements if "id" in each]
    assert len(ids) == len(set(ids))
    assert {link[1:] for link in links if link.startswith("#")} <= set(ids)
    pictures = [each for tag, each in reader.elements if tag == "img"]
    assert pictures and all(len(each["alt"]) > 20 for each in pictures)
    assert all(each.get("scope") for tag, each in reader.elements if tag == "th")
    assert "nan" not in re.findall(r"\w+", reader.text.lower()) and "None" not in reader.text


def test_texts_of_users_are_escaped(pages):
    page = pages["hostile pairs"]
    reader = Reader(page)
    assert all(text in reader.text for text in HOSTILE)
    assert not any(text in page for text in HOSTILE[:2])
    assert not any(key.startswith("on") for _, each in reader.elements for key in each)
    assert "default-src 'none'" in page
    texts = [each for tag, each in reader.elements if tag == "p" and each.get("class") == "text"]
    assert texts and all(each["dir"] == "auto" for each in texts)
    assert ARABIC[:40] in reader.text and ARABIC not in reader.text  # long: cut
    assert " …" in reader.text


def test_tasks_without_classes_or_mistakes_have_a_page_too(reports, pages):
    assert "Predicted against true" in pages["regression"] and "Confusion matrix" not in pages["regression"]
    assert reports["regression"].calibration is None and 'id="trust"' not in pages["regression"]
    assert "every test text is right" in pages["all right"]
    assert reports["all right"].methods[0].score.low is None
    assert reports["hidden test"].split == "dev" and "dev texts" in pages["hidden test"]
    assert "one training seed" in pages["two classes, one seed"]


def test_the_page_starts_with_the_predictor_to_use_and_its_reason(reports, pages):
    for name, report in reports.items():
        found, methods = report.recommendation, {method.name: method for method in report.methods}
        text = " ".join(Reader(pages[name]).text.split())
        assert text.index(found.sentence) < text.index(report.verdict.sentence.partition(":")[0])
        metric, rows = formatting.metric_name(report.metric), report.data.rows["dev"]
        assert f"it has the best {metric} on the {rows} dev texts" in found.sentence
        used = methods[{"encoder": "tlm", "linear": "tfidf", "blend": "blend"}[found.use]]
        assert formatting.percent(used.score.value) in found.detail and len(found.leads) == 2
        if report.methods[0].seeds == (report.shown,):  # else the page shows TLM's mean over seeds
            for lead in found.leads:
                difference = used.score.value - methods[lead.rival].score.value
                assert lead.difference.value == pytest.approx(difference)
    assert reports["all right"].recommendation.use == "linear"  # of equals, the cheaper
    assert reports["three classes"].recommendation.use in (
        "encoder",
        "blend",
    )  # TLM is right in 9 of 10 texts


def test_a_page_of_one_model_names_the_missing_comparisons(reports, pages):
    lead, blend = reports["one model"].differences
    assert blend.rival == "blend"
    assert lead.rival == "tfidf" and "than TF-IDF" in reports["one model"].verdict.sentence
    text = " ".join(Reader(pages["one model"]).text.split())
    assert "Not compared: task data only and random passages." in text and "tlm train toy --compare" in text
    assert "random passages" not in text.replace("Not compared: task data only and random passages.", "")
    others = {name: page for name, page in pages.items() if name not in ("one model", "flat curve")}
    assert not [name for name, page in others.items() if "Not compared" in page or "More time" in page]


def test_a_page_forecasts_the_loss_of_twice_the_time(reports, pages):
    found = reports["one model"].more_time
    drop = 2 * ((270 / 100) ** -0.3 - (550 / 100) ** -0.3)  # effective steps: warm-up and decay count half
    assert found.tokens == 800_000 and found.drop.value == pytest.approx(drop, rel=0.15)
    assert 0 < found.drop.low <= found.drop.value <= found.drop.high < 2 * drop
    assert found.seconds == pytest.approx((800_000 - 160_000) * 800 / 400_000)  # the first 160 steps are kept
    text = " ".join(Reader(pages["one model"]).text.split())
    assert "More time would lower the loss: twice the tokens (800,000) by about 0.3" in text
    assert "tlm train toy --budget +22m trains about so long" in text
    assert "More time would hardly help" in pages["flat curve"]
    assert reports["three classes"].more_time is None  # too few points


def test_a_page_shows_forecast_and_truth_of_the_build(tmp_path, monkeypatch):
    spec, folders = write_toy(tmp_path / "made", Toy())
    jobs = [
        {"rule": "stage1", "output": "runs/toy/toy/tlm/seed1/stage1/manifest.json", "seconds": 90},
        {"rule": "export", "output": "models/toy/manifest.json", "seconds": 5},
        {"rule": "task_report", "output": "results/tasks/toy/report.json", "seconds": 1},
    ]
    file = tmp_path / "toy.forecast.json"
    file.write_text(json.dumps({"granted": 120, "wall": 100, "cores": 2, "jobs": jobs}))
    (tmp_path / "benchmarks/stage1").mkdir(parents=True)
    (tmp_path / "benchmarks/stage1/toy-toy-tlm-seed1.tsv").write_text("s\tmax_rss\tcpu_time\n180\t1\t90\n")
    monkeypatch.chdir(tmp_path)
    report = gather(spec, dataclasses.replace(folders, forecast=file))
    assert [(each.rule, each.seconds, each.cpu_seconds) for each in report.build.rules] == [
        ("stage1", 180, 90),
        ("export", None, None),
    ]
    text = " ".join(Reader(render(report)).text.split())
    assert "forecast to take 1m40s (2m0s granted), and its jobs ran for 3m0s so far." in text
    assert "Other work ran on the machine: training got 50 % of a processor" in text
    assert gather(spec, folders).build is None
    printed = as_text(report.build).splitlines()
    assert printed[1].split() == ["rule", "jobs", "forecast", "took", "ratio", "processor"]
    assert printed[2].split() == ["stage1", "1", "1m30s", "3m0s", "2.00", "1m30s"]
    assert printed[3].split() == ["export", "1", "5s"] and printed[4].split()[:2] == ["together", "1"]


def test_a_page_of_several_labels_a_text_describes_labels_sets_and_thresholds(reports, pages, tmp_path):
    report, page = reports["tags"], pages["tags"]
    spec, folders = write_toy(tmp_path, TOYS["tags"])
    (best, *_) = sorted(
        open_methods(spec.methods, folders.evaluations, open_stages(folders.stages), "test")[0].runs,
        key=lambda run: -run.dev,
    )
    assert report.problem == "multi_label" and report.confusion == ()
    assert report.methods[0].metrics.keys() == {
        *("micro_f1", "macro_f1", "exact_match", "mean_average_precision")
    }
    exact = (best.labels == best.predictions).all(axis=1)
    assert (report.accuracy.value, report.wrong) == (exact.mean(), int((~exact).sum()))
    for number, each in enumerate(report.classes):
        assert each.f1.value == pytest.approx(f1_score(best.labels[:, number], best.predictions[:, number]))
        assert 0 < each.threshold < 1 and each.average_precision.low < each.average_precision.value
    assert report.calibration.rows == best.labels.size
    assert all(mistake.label != mistake.prediction for mistake in report.mistakes)
    assert any(mistake.label == "no label" or ", " in mistake.label for mistake in report.mistakes)
    for text in ("Scores by label", "Sets of labels.", "average precision", "are right in all labels"):
        assert text in page
    assert "Confusion matrix" not in page and "by class" not in page


def test_average_precision_of_many_labels_has_no_interval(tmp_path, monkeypatch):
    monkeypatch.setattr(quality, "RESAMPLED", 2)
    report = gather(*write_toy(tmp_path, Toy(tags=True)))
    assert all(each.average_precision.low is None for each in report.classes)
    assert all(0 < each.average_precision.value <= 1 for each in report.classes)


def test_many_classes_give_a_picture_and_the_weakest_classes_first(reports, pages):
    assert '<table class="matrix">' in pages["three classes"]
    assert '<table class="matrix">' not in pages["fifty classes"]
    assert "The 10 weakest classes" in pages["fifty classes"]


def test_the_matrix_shows_the_classes_with_the_most_errors(reports, monkeypatch):
    report = reports["fifty classes"]
    monkeypatch.setattr("tlm.results.page.render.MATRIX", 20)
    chosen = most_errors(report)
    errors = [sum(line) - line[row] for row, line in enumerate(report.confusion)]
    errors = [
        own + sum(line[row] for line in report.confusion) - report.confusion[row][row]
        for row, own in enumerate(errors)
    ]
    assert len(chosen) == 20 and chosen == sorted(chosen)
    assert min(errors[row] for row in chosen) >= max(errors[row] for row in range(50) if row not in chosen)
    assert "The 20 classes with the most errors of 50" in render(report)


def test_missing_runs_and_runs_on_other_rows_raise(tmp_path):
    spec, folders = write_toy(tmp_path / "one", Toy())
    stages = open_stages(folders.stages)
    with pytest.raises(TlmError, match="tlm/seed1 is missing"):
        open_methods(spec.methods, folders.evaluations[1:], stages, "test")
    _, others = write_toy(tmp_path / "two", Toy(rows={**ROWS, "test": 60}))
    with pytest.raises(TlmError, match="other rows"):
        open_methods(spec.methods, [folders.evaluations[0], *others.evaluations[1:]], stages, "test")
    with pytest.raises(TlmError, match="a stage of training"):
        open_stages([folders.task])


@pytest.mark.parametrize("name", TOYS)
def test_a_browser_shows_the_page_without_errors(pages, name, chromium, tmp_path):
    path = tmp_path / "report.html"
    path.write_text(pages[name], encoding="utf-8")
    page = chromium.open(path, PHONE)
    assert not page.errors and not page.warnings and not page.broken_images() and not page.too_wide()
    assert page.requests == [path.resolve().as_uri()]
    assert page.evaluate("document.querySelectorAll('script').length") == 0
    page.resize(1280, 900)
    assert not page.too_wide()


def test_a_printed_page_shows_folded_parts(pages, chromium, tmp_path):
    path = tmp_path / "report.html"
    path.write_text(pages["three classes"], encoding="utf-8")
    page = chromium.open(path)
    assert page.pdf(tmp_path / "report.pdf").read_bytes().startswith(b"%PDF")
    shown = "document.querySelector('#made ~ details table').checkVisibility({contentVisibilityAuto: true})"
    assert not page.evaluate(shown)
    page.call("Emulation.setEmulatedMedia", media="print")
    page.wait_for(shown, seconds=30)  # with its next frame


def test_backticks_become_code_and_other_markup_is_escaped():
    shown = with_code("Set `seeds:` of <b>`a & b`</b>, a lone ` stays.")
    assert shown == "Set <code>seeds:</code> of &lt;b&gt;<code>a &amp; b</code>&lt;/b&gt;, a lone ` stays."


@pytest.mark.parametrize("kind", ["two classes, one seed", "fifty classes", "hidden test"])
def test_the_page_has_no_backticks(pages, kind):
    text = re.sub(r"<(style|blockquote|article)\b.*?</\1>", "", pages[kind], flags=re.S)
    assert "`" not in text
