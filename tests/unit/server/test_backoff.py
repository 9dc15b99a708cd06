"""When a worker that has ended is started again."""

from __future__ import annotations

from unbraid_server.backoff import Backoff


def test_early_ends_in_a_row_are_waited_for_longer_and_longer_up_to_a_bound() -> None:
    backoff = Backoff()
    assert [backoff.delay_s(0.0) for _ in range(10)] == [0.0, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0, 30.0]


def test_a_long_life_makes_up_for_them() -> None:
    backoff = Backoff()
    assert [backoff.delay_s(lived_s) for lived_s in (9.9, 9.9, 10.0, 9.9, 9.9)] == [0.0, 0.5, 0.0, 0.0, 0.5]
