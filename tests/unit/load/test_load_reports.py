"""What became of calls: counts, percentiles, and bounds on them."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unbraid_load import LoadReport, StepReport, parse_threshold
from unbraid_load.tally import Tally

CALLS = st.lists(st.tuples(st.sampled_from(["OK", "RESOURCE_EXHAUSTED"]), st.floats(0, 0.1), st.floats(0, 10)))


def tally_of(calls: list[tuple[str, float, float]]) -> Tally:
    tally = Tally()
    for code, late_s, taken_s in calls:
        tally.record(code, 0.0, late_s, late_s + taken_s)
    return tally


def report_of(tally: Tally, seconds: float = 1.0) -> LoadReport:
    total = StepReport.of(tally, None, seconds)
    return LoadReport(total, [total], [], processes=1, cpu_s=0.1, checked_count=0)


@settings(max_examples=25)
@given(first=CALLS, second=CALLS)
def test_tallies_add_up_to_that_of_all_calls_also_from_another_process(
    first: list[tuple[str, float, float]], second: list[tuple[str, float, float]]
) -> None:
    added = Tally.unpacked(tally_of(first).packed())
    added.add(Tally.unpacked(tally_of(second).packed()))
    together = tally_of([*first, *second])
    assert added.counts == together.counts
    assert StepReport.of(added, None, 1.0).outcomes == StepReport.of(together, None, 1.0).outcomes
    assert added.late_count == together.late_count == sum(late_s > 0.01 for _, late_s, _ in [*first, *second])


def test_percentiles_are_right_to_a_thousandth() -> None:
    outcome = StepReport.of(tally_of([("OK", 0.5, number / 1e4) for number in range(1, 10_001)]), None, 1.0).outcomes[
        "OK"
    ]
    service, latency = outcome.service_ms, outcome.latency_ms
    assert (service.p50, service.p90, service.p99, service.p999, service.longest) == pytest.approx(
        (500, 900, 990, 999, 1_000), rel=2e-3
    )
    assert latency.p50 == pytest.approx(1_000, rel=2e-3)


def test_goodput_counts_answers_and_errors_what_is_none() -> None:
    calls = [("OK", 0.0, 0.01)] * 60 + [("RESOURCE_EXHAUSTED", 0.0, 0.01)] * 30 + [("UNAVAILABLE", 0.0, 0.01)] * 10
    total = report_of(tally_of(calls), seconds=2.0).total
    assert (total.call_count, total.offered_rps, total.goodput_rps) == (100, 50.0, 30.0)
    assert (total.error_share, total.shed_share) == pytest.approx((0.4, 0.3))
    assert list(total.outcomes) == ["OK", "RESOURCE_EXHAUSTED", "UNAVAILABLE"]


def test_a_report_is_json() -> None:
    written = json.loads(json.dumps(report_of(tally_of([("OK", 0.0, 0.02)])).to_dict(), allow_nan=False))
    assert written["total"]["outcomes"]["OK"]["latency_ms"]["p99"] == pytest.approx(20, rel=1e-3)
    assert written["generator"]["cpu_us_per_call"] == pytest.approx(1e5)


@pytest.mark.parametrize(
    ("text", "crossed"),
    [
        ("p99>19ms", True),
        ("p99>21ms", False),
        ("p50<=0.021s", True),
        ("max > 20500us", False),
        ("p99.9>19ms", True),
        ("errors>49%", True),
        ("errors>=50.1%", False),
        ("shed<50.1%", True),
        ("late>0%", False),
        ("rps<3", True),
        ("rps<2", False),
    ],
)
def test_a_bound_is_crossed_where_what_it_says_holds(text: str, crossed: bool) -> None:
    calls = [("OK", 0.0, 0.02), ("OK", 0.0, 0.02), ("RESOURCE_EXHAUSTED", 0.0, 0.5), ("RESOURCE_EXHAUSTED", 0.0, 0.5)]
    assert parse_threshold(text).is_crossed(report_of(tally_of(calls))) is crossed


def test_without_an_answer_every_latency_is_too_long() -> None:
    assert parse_threshold("p50>1000s").is_crossed(report_of(Tally()))
    assert parse_threshold("rps<1").is_crossed(report_of(Tally(), seconds=0.0))
    assert math.isfinite(report_of(Tally(), seconds=0.0).cpu_us_per_call)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("fast", "is no bound; write for example 'p99>50ms'"),
        ("p99=50ms", "is no bound"),
        ("p98>50ms", "p98 is none of p50, p90"),
        ("p99>50", "the unit of p99 is us or ms or s"),
        ("rps<5%", "the unit of rps is none"),
        ("errors>1", "the unit of errors is %"),
        ("p99>1.2.3ms", "1.2.3 is no number"),
    ],
)
def test_a_bound_that_is_none_is_refused(text: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        parse_threshold(text)
