from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unbraid_training.data.columns import Column
from unbraid_training.data.times import parse_times

ZONES = st.integers(-23 * 60, 23 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
LOCAL = st.datetimes(datetime(2, 1, 1), datetime(9998, 12, 31))  # noqa: DTZ001  # times without a zone are wanted
MOMENTS = st.one_of(
    LOCAL, LOCAL.map(lambda local: local.replace(tzinfo=UTC)), st.builds(datetime.replace, LOCAL, tzinfo=ZONES)
)


def seconds(moment: datetime) -> float:
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def parse_one(column: Column) -> float:
    times = parse_times(column)
    assert len(times.time_s_N) == 1
    return float(times.time_s_N[0])


@settings(max_examples=60)
@given(st.lists(MOMENTS, min_size=1, max_size=5), st.sampled_from("T t"))
def test_iso_times_are_what_datetime_says(moments: list[datetime], separator: str) -> None:
    texts = [moment.isoformat(separator).replace("+00:00", "Z") for moment in moments]
    times = parse_times(pa.array(texts))
    np.testing.assert_allclose(times.time_s_N, [seconds(moment) for moment in moments], rtol=0, atol=1e-4)


@settings(max_examples=60)
@given(MOMENTS)
def test_seconds_and_hour_offsets_may_be_left_out(moment: datetime) -> None:
    whole = moment.replace(second=0, microsecond=0)
    assert parse_one(pa.array([whole.isoformat(timespec="minutes")])) == seconds(whole)
    assert parse_one(pa.array([moment.date().isoformat()])) == seconds(datetime(*moment.timetuple()[:3], tzinfo=UTC))


@settings(max_examples=60)
@given(st.one_of(st.integers(-(10**10), 10**11), st.floats(-1e10, 1e11)))
def test_epoch_seconds_are_taken_as_they_are(time_s: float) -> None:
    assert parse_one(pa.array([str(time_s)])) == pytest.approx(time_s, rel=1e-15)
    assert parse_one(pa.array([time_s])) == time_s


@settings(max_examples=60)
@given(st.lists(st.one_of(MOMENTS, st.integers(-(10**10), 10**11)), min_size=1, max_size=6))
def test_forms_may_be_mixed_from_cell_to_cell(values: list[datetime | int]) -> None:
    texts = [value.isoformat() if isinstance(value, datetime) else str(value) for value in values]
    expected = [seconds(value) if isinstance(value, datetime) else value for value in values]
    np.testing.assert_allclose(parse_times(pa.array(texts)).time_s_N, expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize(
    "text",
    [
        "yesterday",
        "2011-02-29",
        "2011-13-01",
        "2011-00-10",
        "2011-04-31T00:00:00",
        "2011-10-18T24:00:00",
        "2011-10-18T12:60:00",
        "2011-10-18T12:00:60",
        "2011-10-18T12:00:00+24:00",
        "2011-10-18T12:00:00 Europe/Berlin",
        "18/10/2011",
        "1e999",
        "inf",
        "12 000",
        "2011-1-1",
    ],
)
def test_what_is_no_time_is_not_guessed(text: str) -> None:
    times = parse_times(pa.array([text]))
    assert np.isnan(times.time_s_N[0])
    assert times.unparsable_N[0] or times.outside_N[0]
    assert not times.missing_N[0]


def test_missing_milliseconds_and_nonsense_are_told_apart() -> None:
    times = parse_times(pa.array(["", None, "  ", "1318896000000", "-99999999999999", "soon", " 1318896000 "]))
    assert times.missing_N.tolist() == [True, True, True, False, False, False, False]
    assert times.outside_N.tolist() == [False, False, False, True, True, False, False]
    assert times.unparsable_N.tolist() == [False, False, False, False, False, True, False]
    assert times.time_s_N[-1] == 1318896000


NOON = datetime(2011, 10, 18, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    "column",
    [
        pa.array([NOON.replace(tzinfo=None)], pa.timestamp("ms")),
        pa.array([NOON], pa.timestamp("ns", "Europe/Berlin")),
        pa.array([NOON], pa.timestamp("s", "UTC")),
        pa.array([int(NOON.timestamp())], pa.uint32()),
        pa.array([Decimal(NOON.timestamp())], pa.decimal128(20, 3)),
        pa.array(["2011-10-18 12:00:00 UTC"], pa.large_string()),
        pa.array(["2011-10-18T14:00+02"]),
    ],
)
def test_arrow_types_of_the_same_moment_agree(column: Column) -> None:
    assert parse_one(column) == NOON.timestamp()


def test_dates_and_nulls_of_typed_columns() -> None:
    times = parse_times(pa.array([date(1970, 1, 2), None], pa.date32()))
    assert times.time_s_N[0] == 86400
    assert times.missing_N.tolist() == [False, True]
    assert parse_times(pa.array([1.0, float("nan"), None])).missing_N.tolist() == [False, True, True]
    assert parse_times(pa.array([True, None])).unparsable_N.tolist() == [True, False]
