"""Which of the exported predictors to use: encoder, linear model or their blend, and by how much it leads.

Place in the flow: the evaluations of the shown run and of the linear models → `tlm.evaluation.blend.choose` → here →
`task_report.TaskReport`. The choice is the one that the export wrote into `tlm.json`: it depends on dev alone. The
scored split shows what it is worth.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from tlm.config.linear import LINEAR
from tlm.config.task_report import BLEND, MethodSpec
from tlm.evaluation.artifact import TaskInfo, open_evaluation
from tlm.evaluation.blend import PREDICTORS, PredictorChoice, choose
from tlm.results.page import formatting
from tlm.results.page.scored_runs import MethodRuns, ScoredRun
from tlm.results.page.task_report import Lead, Recommendation
from tlm.results.page.worth import difference, estimate
from tlm.statistics import BootstrapEstimate


def choice_of(task: TaskInfo, methods: Sequence[MethodRuns], shown: ScoredRun) -> PredictorChoice | None:
    """The choice for the shown run; None without linear models."""
    linear = [run.folder for method in methods if method.spec.name in LINEAR for run in method.runs]
    if not linear:
        return None
    return choose(
        task.problem, task.metric, open_evaluation(shown.folder), [open_evaluation(each) for each in linear]
    )


def blended(
    methods: Sequence[MethodRuns], shown: ScoredRun, choice: PredictorChoice, split: str
) -> MethodRuns:
    """The blend as a method with one run; it costs what both of its models cost."""
    linear = _linear(methods, choice)
    found = choice.splits[split]
    records = {
        part: {"primary": each.metrics["primary"], "metrics": _others(each.metrics), "mlm_loss": None}
        for part, each in choice.splits.items()
    }
    run = replace(
        shown,
        metrics=records,
        seconds=shown.seconds + linear.runs[0].seconds,
        predictions=found.predictions.predictions,
        probabilities=found.predictions.probabilities,
    )
    label = f"blend of TLM and {linear.spec.label}"
    return MethodRuns(MethodSpec(name=BLEND, label=label, variant=BLEND, seeds=(shown.seed,)), (run,))


def recommendation(
    task: TaskInfo,
    methods: Sequence[MethodRuns],
    scores: Mapping[str, BootstrapEstimate],
    choice: PredictorChoice,
    dev_rows: int,
    scored: str,
) -> Recommendation:
    """The predictor to use, in sentences; `scored` is such as `400 test texts`. `methods` include the blend."""
    linear = _linear(methods, choice)
    names = {"linear": linear.spec.name, "encoder": methods[0].spec.name, "blend": BLEND}
    labels = {method.spec.name: _article(method.spec.label) for method in methods}
    use = names[choice.use]
    others = sorted((each for each in PREDICTORS if each != choice.use), key=lambda each: -choice.dev[each])
    leads = tuple(difference(names[each], scores[use], scores[names[each]]) for each in others)
    metric = formatting.metric_name(task.metric)
    on_dev = formatting.listed(
        [f"{formatting.percent(choice.dev[each])} of {labels[names[each]]}" for each in others]
    )
    value = estimate(scores[use])
    return Recommendation(
        use=choice.use,
        sentence=f"Use {labels[use]}: it has the best {metric} on the "
        f"{formatting.counted(dev_rows, 'dev text')}, {formatting.percent(choice.dev[choice.use])} against {on_dev}.",
        detail=f"On {scored} it scores {formatting.percent(value.value)} {formatting.interval(value)}, "
        f"{formatting.listed([_lead(lead, labels[lead.rival]) for lead in leads])}.",
        leads=leads,
    )


def _linear(methods: Sequence[MethodRuns], choice: PredictorChoice) -> MethodRuns:
    """The method of the linear model in the blend."""
    return next(method for method in methods if method.spec.variant == choice.linear.run.variant)


def _others(metrics: Mapping[str, float]) -> dict[str, float]:
    return {name: value for name, value in metrics.items() if name != "primary"}


def _article(label: str) -> str:
    return label if label.startswith(("TLM", "TF-IDF")) else f"the {label}"


def _lead(lead: Lead, label: str) -> str:
    value = lead.difference.value
    more = "more" if value >= 0 else "less"
    return (
        f"{formatting.percent(abs(value))} points {more} than {label} "
        f"{formatting.interval(lead.difference, 'signed')}"
    )
