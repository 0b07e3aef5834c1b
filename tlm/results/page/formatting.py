"""Formats of numbers and texts on the page: percent, intervals in brackets, durations, sizes, lists.

Place in the flow: below `worth` and `render`. Most numbers have three digits.
"""

from __future__ import annotations

from collections.abc import Sequence

from tlm.results.page.task_report import NumberWithInterval

_METRICS = {
    "micro_f1": "micro-F1",
    "macro_f1": "macro-F1",
    "accuracy": "accuracy",
    "matthews": "Matthews correlation",
    "f1": "F1 of the second class",
    "accuracy_f1": "mean of accuracy and F1",
    "exact_match": "exact match of all labels",
    "mean_average_precision": "mean average precision",
    "pearson": "Pearson correlation × 100",
    "spearman": "Spearman correlation × 100",
    "pearson_spearman": "mean of Pearson and Spearman correlation × 100",
}
_MINUS = "\N{MINUS SIGN}"
_RAISED = str.maketrans("0123456789-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻")


def metric_name(metric: str) -> str:
    """The name of a metric in a sentence."""
    return _METRICS.get(metric, metric)


def percent(value: float) -> str:
    """0.8345 → 83.4; the caller writes the percent sign."""
    return f"{100 * value:.1f}".replace("-", _MINUS)


def signed(value: float) -> str:
    """0.012 → +1.2 points; numbers that round to 0.0 have no sign."""
    text = f"{100 * value:+.1f}"
    return text[1:] if float(text) == 0 else text.replace("-", _MINUS)


def interval(estimate: NumberWithInterval, form: str = "percent") -> str:
    """[81.0, 85.2], or an empty text if there is no interval; `form` is percent or signed."""
    if estimate.low is None or estimate.high is None:
        return ""
    write = signed if form == "signed" else percent
    return f"[{write(estimate.low)}, {write(estimate.high)}]"


def sure(probability: float) -> str:
    """A probability, never rounded to 100 %: 0.874 → 87.4 %."""
    return "more than 99.9 %" if probability > 0.999 else f"{percent(probability)} %"


def count(value: int) -> str:
    """1234567 → 1,234,567."""
    return f"{value:,}"


def counted(value: int, singular: str, plural: str | None = None) -> str:
    """1 text, 2 texts."""
    return f"{value:,} {singular if value == 1 else plural or singular + 's'}"


def number(value: float) -> str:
    """Three digits of a number of any size: 0.00123, 12.3, 1,230."""
    if abs(value) >= 1000:
        return f"{value:,.0f}".replace("-", _MINUS)
    return f"{value:.3g}".replace("-", _MINUS)


def flops(value: float) -> str:
    """1.23e13 → 1.23 × 10¹³."""
    mantissa, exponent = f"{value:.2e}".split("e")
    return f"{mantissa} × 10{str(int(exponent)).translate(_RAISED)}"


def size(value: float) -> str:
    """Bytes: 123456 → 123 kB."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if value < 999.5:
            return f"{value:.3g} {unit}"
        value /= 1000
    return f"{value:,.3g} TB"


def duration(seconds: float) -> str:
    """3.4 s, 2 min 10 s, 1 h 5 min."""
    if seconds < 59.5:
        return f"{seconds:.2g} s" if seconds < 9.95 else f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if seconds < 599.5:
        whole = round(seconds)
        return f"{whole // 60} min {whole % 60} s" if whole % 60 else f"{whole // 60} min"
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def listed(parts: Sequence[str]) -> str:
    """a; a and b; a, b and c."""
    return " and ".join(filter(None, (", ".join(parts[:-1]), *parts[-1:])))


def shortened(text: str, limit: int) -> str:
    """At most `limit` characters, with an ellipsis; cut between words if a space is near."""
    if len(text) <= limit:
        return text
    cut = text[: limit - 2]
    space = cut.rfind(" ")
    return (cut[:space] if space > limit * 0.5 else cut).rstrip() + " …"
