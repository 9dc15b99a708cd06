"""A model: one release, ready to answer."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from unbraid_core.errors import IncompatibleError
from unbraid_core.release import open_release
from unbraid_server.device import Device
from unbraid_server.model import Model, load_model

events = st.lists(
    st.tuples(
        st.sampled_from(["k00", "k01", "c05", "unknown", "K00"]),
        st.integers(0, 5).map(float),
        st.sampled_from(["", "view", "purchase", "dance"]),
    ),
    max_size=12,
)


@given(events, st.none() | st.integers(0, 5).map(float))
def test_a_history_is_the_known_events_until_a_moment_in_stable_order_of_time(
    model_v1: Model, drawn: list[tuple[str, float, str]], until_s: float | None
) -> None:
    kept = sorted((event for event in drawn if until_s is None or event[1] <= until_s), key=lambda event: event[1])
    known_items = [event for event in kept if model_v1.catalogue.row(event[0]) >= 0]
    known = model_v1.history([e[0] for e in drawn], [e[1] for e in drawn], [e[2] for e in drawn], until_s)
    assert model_v1.catalogue.ids(known.history.row_N) == [event[0] for event in known_items]
    assert known.history.time_s_N.tolist() == [event[1] for event in known_items]
    vocabulary = model_v1.manifest.encoder.actions
    assert known.history.action_N.tolist() == [
        vocabulary.index(event[2]) if event[2] in vocabulary else 0 for event in known_items
    ]
    assert known.ignored_count == len(kept) - len(known_items)


def test_popular_rows_are_all_rows_most_popular_first_and_equal_ones_by_row(release_v1: Path) -> None:
    release = open_release(release_v1)
    log_popularity_I = np.array([-2.0, -1.0, -3.0] * 8, np.float32)
    model = load_model(replace(release, log_popularity_I=log_popularity_I), Device.CPU)
    expected = sorted(range(24), key=lambda row: (-log_popularity_I[row], row))
    assert model.pipeline.popular_row_I[:].tolist() == expected


def test_an_index_over_other_items_is_refused(release_v1: Path) -> None:
    release = open_release(release_v1)
    shorter = replace(release, item_vectors_ID=release.item_vectors_ID[:-1])
    with pytest.raises(IncompatibleError, match="build the index again"):
        load_model(shorter, Device.CPU)
