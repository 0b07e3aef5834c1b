"""When a claim counts as supported: a rule on an interval over items and seeds (docs/claims.md).

Place in the flow: used by `tlm.results.claims`. The rule was fixed before any build.
"""

from __future__ import annotations

from typing import Literal

from tlm.config.claims import Direction
from tlm.statistics import BootstrapEstimate, Interval, combine

Verdict = Literal["supported", "not supported", "not enough data"]
SUPPORTED: Verdict = "supported"
NOT_SUPPORTED: Verdict = "not supported"
NOT_ENOUGH: Verdict = "not enough data"
VERDICTS = (SUPPORTED, NOT_SUPPORTED, NOT_ENOUGH)


def judge(direction: Direction, margin: float, effect: BootstrapEstimate) -> tuple[Verdict, str]:
    """Verdict and reason for an effect that is claimed to be greater (less) than 0, or at least (most) -`margin`.

    | interval over items and seeds | greater | at-least |
    |---|---|---|
    | above 0 | supported | supported |
    | above -margin, not above 0 | not supported, if also below +margin: practically equal | supported |
    | below 0, not above -margin | not supported | not supported |
    | else | not enough data | not enough data |

    A single seed is never enough. `less` and `at-most` are the same rules for the negated effect.
    """
    if direction in ("less", "at-most"):
        effect = combine([(-1, effect)])
    interval = effect.over_seeds
    if interval is None:
        return NOT_ENOUGH, "one training seed: another seed might give another result"
    verdict, reason = _of_interval(direction in ("greater", "less"), margin, interval)
    if verdict == NOT_ENOUGH:
        alone, _ = _of_interval(direction in ("greater", "less"), margin, effect.interval)
        if alone != NOT_ENOUGH:
            reason = f"{alone} by the interval over items alone, but the seeds vary more"
    return verdict, reason


def _of_interval(strict: bool, margin: float, interval: Interval) -> tuple[Verdict, str]:
    """The rule for one interval; `strict` for greater, else for at-least."""
    if interval.low > 0:
        return SUPPORTED, "the interval excludes 0"
    if not strict and interval.low >= -margin:
        return SUPPORTED, f"at most {margin:g} worse"
    if interval.high < 0:
        return NOT_SUPPORTED, "the interval excludes 0, on the other side"
    if strict and -margin <= interval.low and interval.high <= margin:
        return NOT_SUPPORTED, f"practically equal: the interval is within ±{margin:g}"
    return NOT_ENOUGH, "the interval contains 0" if strict else f"it may be more than {margin:g} worse"
