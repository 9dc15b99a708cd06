"""Tuning, refitting and ranking together, on planted data."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unbraid_core.errors import InvalidInput
from unbraid_training.baselines.baseline import Baseline
from unbraid_training.baselines.blend import Blend
from unbraid_training.baselines.comparison import Contender, Contest, compare
from unbraid_training.baselines.item_knn import ItemKnn
from unbraid_training.baselines.methods import Method, choose_names
from unbraid_training.baselines.panel import Panel
from unbraid_training.baselines.profile import Profile, Weights
from unbraid_training.baselines.sequence_network import SequenceNetwork, Trunk
from unbraid_training.baselines.sequences import LatestItems, Target
from unbraid_training.baselines.tuning import PATIENCE, Tuned, choice_value, rank, tune
from unbraid_training.config import DAY_S
from unbraid_training.data.dataset import Dataset
from unbraid_training.data.splits import TimeWindow, parse_split
from unbraid_training.data.synthetic import SyntheticSpec, plant
from unbraid_training.evaluation.cases import Task
from unbraid_training.evaluation.metrics import user_metrics
from unbraid_training.evaluation.popularity import Popularity

TEST_START_S, VALIDATION_START_S = 1_706_140_800.0, 1_705_536_000.0  # 2024-01-25 and a week before
NAMES = ["popularity-decay", "itemknn-decay+pop", "userknn", "ease-decay+own+pop"]


@pytest.fixture(scope="module")
def planted() -> Dataset:
    """80 users, most of whom act before, within and after the validation window."""
    return plant(SyntheticSpec(user_count=80, item_count=60, events_per_user=30, session_gap_s=3 * DAY_S)).dataset


def contest(dataset: Dataset, task: Task = Task.ALL) -> Contest:
    return Contest(TimeWindow(TEST_START_S).apply(dataset), TimeWindow(VALIDATION_START_S), task, seed=1)


def silent(_step: str, _done: int, _total: int) -> None:
    pass


def of_users(case: Contest, contender: Contender) -> dict[str, list[int]]:
    cases = case.cases()
    return {cases.user_id(position): contender.row_HR[position].tolist() for position in range(len(cases))}


@settings(max_examples=2, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_what_happens_in_the_test_window_changes_no_setting_and_no_ranking(planted: Dataset, seed: int) -> None:
    rng = np.random.default_rng(seed)
    late_E = planted.time_s_E >= TEST_START_S
    kept = planted.select(~late_E | (rng.random(len(planted)) < 0.7))
    late_E = kept.time_s_E >= TEST_START_S
    changed = replace(kept, row_E=np.where(late_E, rng.permutation(60).astype(np.int32)[kept.row_E], kept.row_E))
    before, after = contest(planted), contest(changed)
    assert before.cases().target_count != after.cases().target_count
    for one, other in zip(compare(before, NAMES, silent), compare(after, NAMES, silent), strict=True):
        assert (one.name, one.settings, one.validation_ndcg) == (other.name, other.settings, other.validation_ndcg)
        first, second = of_users(before, one), of_users(after, other)
        common = first.keys() & second.keys()
        assert len(common) > 10
        assert all(first[user] == second[user] for user in common)


def test_the_grid_is_searched_completely_and_the_first_of_equals_wins(planted: Dataset) -> None:
    [validation] = contest(planted).validations()
    panel = Panel(validation, seed=1)
    baselines = (ItemKnn(0.0, 1), ItemKnn(5.0), ItemKnn(5.0, 1000), ItemKnn(1000.0))
    profiles = (Profile(counted=False), Profile(counted=True), Profile(counted=False, half_life_s=86_400.0))
    scores = {(baseline, profile): ndcg(baseline, profile, panel) for baseline in baselines for profile in profiles}
    method = Method("itemknn", baselines, profiles)
    steps: list[tuple[str, int, int]] = []
    [tuned] = tune([method], [panel], lambda *step: steps.append(step))
    assert steps == [("tuning", done, 4) for done in (1, 2, 3, 4)]
    best = max(scores.values())
    assert tuned.validation_ndcg == best
    assert (tuned.baseline, tuned.blend.view) == next(pair for pair, score in scores.items() if score == best)


def ndcg(baseline: Baseline[Weights], profile: Profile, panel: Panel) -> float:
    """Of a single setting, without the tuner."""
    cases = panel.cases
    everybody = slice(0, len(cases))
    score_HI = baseline.fit(panel.train).score(panel.seen(profile, everybody))
    row_HR = panel.best_rows(Blend(profile).score(score_HI, panel, everybody), everybody)
    return float(user_metrics(row_HR, cases.targets, len(cases.catalogue))["ndcg@50"].mean())


def test_methods_that_are_tuned_together_end_as_if_tuned_alone(planted: Dataset) -> None:
    together = compare(contest(planted), NAMES, silent)
    assert [contender.name for contender in together] == NAMES
    for name, contender in zip(NAMES, together, strict=True):
        [alone] = compare(contest(planted), [name], silent)
        assert alone.settings == contender.settings
        np.testing.assert_array_equal(alone.row_HR, contender.row_HR)


def test_winners_learn_from_everything_before_the_test(planted: Dataset) -> None:
    case = contest(planted)
    [validation] = case.validations()
    [tuned] = tune([Method("itemknn", (ItemKnn(5.0),), (Profile(False),))], [Panel(validation, 1)], silent)
    panel = Panel(case.cases(), seed=1)
    everybody = slice(0, len(panel.cases))
    score_HI = ItemKnn(5.0).fit(case.holdout.train).score(panel.seen(Profile(False), everybody))
    np.testing.assert_array_equal(rank([tuned], panel, silent)[0], panel.best_rows(score_HI, everybody))


def test_every_classical_method_finds_more_new_items_than_chance(planted: Dataset) -> None:
    case, titles = contest(planted, Task.NEW), set[str]()
    cases = case.cases()
    names = [name for name in choose_names(None, Task.NEW) if not name.startswith(("popularity", *Trunk))]
    chance = np.mean([20 / (60 - len(np.unique(cases.history(position).row_N))) for position in range(len(cases))])
    for contender in compare(case, names, lambda step, _done, _total: titles.add(step)):
        recall = user_metrics(contender.row_HR, cases.targets, len(cases.catalogue))["recall@20"].mean()
        assert recall > chance, contender.name
    assert titles == {"tuning", "ranking"}


def test_popularity_is_that_of_the_evaluation(planted: Dataset) -> None:
    [contender] = compare(contest(planted), ["popularity"], silent)
    np.testing.assert_array_equal(contender.row_HR, Popularity(None, seed=1).rank(contest(planted).cases()))


def test_settings_are_chosen_by_the_mean_over_all_windows(planted: Dataset) -> None:
    case = replace(contest(planted), validation=TimeWindow(VALIDATION_START_S, TEST_START_S), origin_count=2)
    panels = [Panel(cases, seed=1) for cases in case.validations()]
    baselines = (ItemKnn(0.0, 1), ItemKnn(5.0), ItemKnn(1000.0))
    [tuned] = tune([Method("itemknn", baselines, (Profile(False),))], panels, silent)
    means = [np.mean([ndcg(baseline, Profile(False), panel) for panel in panels]) for baseline in baselines]
    assert tuned.validation_ndcg == pytest.approx(max(means))
    assert tuned.baseline == baselines[int(np.argmax(means))]


def test_windows_step_back_and_each_learns_from_what_is_before_it_alone(planted: Dataset) -> None:
    day = TimeWindow(VALIDATION_START_S, VALIDATION_START_S + DAY_S)
    case = replace(contest(planted), validation=day, origin_count=3)
    assert case.windows() == [TimeWindow(day.start_s - step, day.stop_s - step) for step in (0, DAY_S, 2 * DAY_S)]
    for window, cases in zip(case.windows(), case.validations(), strict=True):
        assert isinstance(window, TimeWindow)
        assert cases.train.time_s_E.max() < window.start_s
        assert (cases.now_s_H == window.start_s).all()


def test_last_events_are_held_out_of_what_the_last_hold_out_left(planted: Dataset) -> None:
    last = parse_split("last-4")
    case = Contest(last.apply(planted), last, Task.ALL, seed=1, origin_count=2)
    first, second = case.validations()
    user = int(np.intersect1d(first.user_H, second.user_H)[0])
    events = len(planted.history(user))
    assert [len(cases.train.history(user)) for cases in (first, second)] == [events - 8, events - 12]


def test_a_network_is_stopped_when_it_gains_no_more_and_trained_as_long_for_the_test(planted: Dataset) -> None:
    steps: list[tuple[str, int, int]] = []
    network = SequenceNetwork(Trunk.GRU, Target.NEXT, dropout=0.0, seed=1, epochs=6)
    method = Method("gru", (network,), (LatestItems(5),))
    [validation] = contest(planted).validations()
    panel = Panel(validation, seed=1)
    [tuned] = tune([method], [panel], lambda *step: steps.append(step))
    values = []
    for _, fitted in network.stages(panel.train):
        score_HI = fitted.score(panel.seen(LatestItems(5), slice(0, len(validation))))
        values.append(choice_value(panel.best_rows(score_HI, slice(0, len(validation))), validation))
        if len(values) - 1 - int(np.argmax(values)) == PATIENCE:
            break
    assert tuned.validation_ndcg == max(values)
    assert tuned.baseline == replace(network, epochs=1 + int(np.argmax(values)))
    assert [step[1:] for step in steps] == [*((done, 6) for done in range(1, len(values) + 1)), (1, 1)]


def test_methods_that_stop_at_different_stages_are_trained_once(planted: Dataset) -> None:
    steps: list[tuple[str, int, int]] = []
    panel, view = Panel(contest(planted).cases(), seed=1), LatestItems(5)
    networks = [SequenceNetwork(Trunk.GRU, Target.NEXT, dropout=0.2, seed=1, epochs=epochs) for epochs in (1, 3)]
    tuned = [Tuned(f"gru {network.epochs}", network, Blend(view), 0.0) for network in networks]
    together = rank(tuned, panel, lambda *step: steps.append(step))
    assert [step[1:] for step in steps] == [(1, 3), (1, 2), (2, 3), (3, 3), (2, 2)]
    for each, row_HR in zip(tuned, together, strict=True):
        np.testing.assert_array_equal(rank([each], panel, silent)[0], row_HR)


def test_a_validation_window_without_users_is_refused(planted: Dataset) -> None:
    case = replace(contest(planted), validation=parse_split("before-2024-01-18-until-2024-01-18T00:00:01Z"))
    with pytest.raises(InvalidInput, match=r"validation: before-2024-01-18-until-\S+: no user has a target"):
        compare(case, ["popularity"], silent)
    with pytest.raises(InvalidInput, match=r"validation: before-2024-01-18, 30 origins: before-\S+ leaves no event"):
        compare(replace(contest(planted), origin_count=30), ["popularity"], silent)


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [("ease, popularity,ease", ["ease", "popularity"]), ("ease-decay+own+pop", ["ease-decay+own+pop"])],
)
def test_methods_are_chosen_by_name(wanted: str, expected: list[str]) -> None:
    assert choose_names(wanted, Task.NEW) == expected


def test_all_methods_are_the_default_but_own_items_answer_no_question_for_new_ones() -> None:
    every, new = choose_names(None, Task.ALL), choose_names(None, Task.NEW)
    assert set(every) - set(new) == {name for name in every if "own" in name}
    assert {"popularity", "popularity-decay", "ials", "ials+pop", "ease-decay+pop", "itemknn", "userknn+pop"} <= set(
        new
    )


def test_an_unknown_method_is_named_with_all_known_ones() -> None:
    with pytest.raises(InvalidInput, match=r"methods: 'als' is unknown; choose from popularity, .*ials"):
        choose_names("ease,als", Task.NEW)
