"""What holds for every model, whatever the method: one contract, over all of them and blends."""

import dataclasses
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

from jaxrec.config import RunConfig
from jaxrec.data.splits import Split
from jaxrec.models.blend import Blend, blend
from jaxrec.models.factors import Factors
from jaxrec.models.fold_in import MessageSum
from jaxrec.models.histories import Histories
from jaxrec.models.method import Hooks
from jaxrec.models.model import Contributions, Model
from jaxrec.rank.lists import similar_items
from jaxrec.rank.top_k import top_k
from jaxrec.report.console import Console
from jaxrec.runs.checkpoint import Checkpoints
from jaxrec.runs.methods import METHODS, fit_model, fitting_of
from jaxrec.runs.prepare import prepare_split
from jaxrec.runs.saved_models import model_shapes, restore_model, save_model
from tests.checkerboard import ITEMS_PER_GROUP, SMALL, config_of, write_checkerboard
from tests.kernels import in_order

BLENDS: dict[str, dict[str, Any]] = {
    "blend of matrices": {"blend__models": ("itemknn", "ease", "rp3beta")},
    "blend of filters": {"blend__models": ("gfcf", "walks")},
    "blend of factors": {"blend__models": ("gcn", "ials", "most_popular")},
    "blend of all kinds": {"blend__models": ("gcn", "ease", "gfcf")},
}
CASES: dict[str, dict[str, Any]] = {
    **{name: {"method": name} for name in METHODS if name != "blend"},
    "gcn with walks": {"method": "gcn", "walks__weight": 2.0},
    "gcn with softmax": {"method": "gcn", "loss__name": "softmax", "loss__negatives": 64},
    "walks, cut": {"method": "walks", "walks__ends": ITEMS_PER_GROUP, "walks__longer": 0.3},
    "gcn with cut walks": {"method": "gcn", "walks__weight": 2.0, "walks__ends": 4},
    **{name: {"method": "blend"} | each for name, each in BLENDS.items()},
}
# A known user is to them what a stranger with the same history is.
WITHOUT_USERS = [
    *("itemknn", "rp3beta", "ease", "slim", "gfcf", "walks", "walks, cut", "most_popular"),
    *("own_plays", "recent_popular", "transitions", "sessions"),
    *("blend of matrices", "blend of filters"),
]
FACTORS = ["gcn", "gcn with softmax", "ials", "most_popular", "recent_popular", "blend of factors"]
SCATTERED = ("gfcf", "blend of filters", "blend of all kinds")  # GF-CF's sums of histories
ALL_ALIKE = ["most_popular", "recent_popular", "own_plays"]  # no song says anything of another


def to_the_bit(names: Iterable[str]) -> list[Any]:
    """Cases for a test that asks for the same bits, which off the CPU a scatter doesn't give."""
    return [pytest.param(name, marks=[in_order] if name in SCATTERED else []) for name in names]


@dataclasses.dataclass(frozen=True, eq=False)
class Fitted:
    """A model, and what it was fitted to: plays count, so that weights are of all sizes."""

    name: str
    model: Model
    split: Split
    histories: Histories

    @property
    def known(self) -> np.ndarray:
        return np.bincount(self.histories.items, minlength=self.model.num_items) > 0


def _make(folder: Path, changes: dict[str, Any]) -> tuple[RunConfig, Split]:
    path = write_checkerboard(folder / "listens.csv", times=True)
    fields = {"data__weight": "raw", "data__columns__timestamp": "time"}
    config = config_of(path, **fields | SMALL | changes)
    return config, prepare_split(config, Console(quiet=True))


@pytest.fixture(scope="module")
def fit(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Fitted]:
    """Fits a case, once."""
    folder, done = tmp_path_factory.mktemp("contract"), dict[str, Fitted]()

    def fitted(name: str) -> Fitted:
        if name not in done:
            config, split = _make(folder, CASES[name])
            model = fit_model(config, split.train, Hooks(Console(quiet=True).progress))
            done[name] = Fitted(name, model, split, Histories.of_all(split.train, "raw"))
        return done[name]

    return fitted


@pytest.fixture(params=CASES)
def case(request: pytest.FixtureRequest, fit: Callable[[str], Fitted]) -> Fitted:
    return fit(request.param)


@pytest.fixture(params=to_the_bit(CASES))
def case_in_order(request: pytest.FixtureRequest, fit: Callable[[str], Fitted]) -> Fitted:
    """For a test that asks for the same bits."""
    return fit(request.param)


def scores_of(model: Model, histories: Histories) -> np.ndarray:
    return np.asarray(model.scores(histories))


def both(case: Fitted) -> list[Histories]:
    """The histories of known users, and the same of strangers."""
    return [case.histories, case.histories.of_strangers()]


def test_it_is_a_model_whose_scores_are_finite(case: Fitted) -> None:
    assert isinstance(case.model, Model)
    for histories in both(case):
        scores = case.model.scores(histories)
        assert scores.dtype == np.float32
        assert scores.shape == (len(histories), case.model.num_items)
        assert np.isfinite(scores).all()


def test_an_empty_history_has_finite_scores(case: Fitted) -> None:
    nobody = Histories.of_items([np.zeros(0, np.int32)] * 3, case.model.num_items)
    assert np.isfinite(scores_of(case.model, nobody)).all()
    (items, _) = top_k(case.model, nobody, k=5)
    assert (items[0] == items).all()


@pytest.mark.parametrize("name", to_the_bit(WITHOUT_USERS))
def test_a_known_user_has_the_scores_of_a_stranger_with_the_same_history(
    fit: Callable[[str], Fitted], name: str
) -> None:
    case = fit(name)
    of_known, of_strangers = (scores_of(case.model, each) for each in both(case))
    np.testing.assert_array_equal(of_known, of_strangers)
    for known, strange in zip(*(top_k(case.model, each, k=9) for each in both(case)), strict=True):
        np.testing.assert_array_equal(known, strange)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"model__layers": 1},
        {"model__layers": 0},
        {"model__receiver_exponent": 0.6, "model__sender_exponent": 0.3, "model__layer_zero": 0.2},
        {"model__unit_layers": True},
        {"walks__weight": 2.0},
    ],
    ids=["three layers", "one", "none", "LightGCN++", "unit layers", "with walks"],
)
def test_a_network_without_own_vectors_has_the_scores_of_strangers(
    tmp_path: Path, changes: dict[str, Any]
) -> None:
    """With layer 0 of the users at zero, nothing but their histories tells one from another."""
    config, split = _make(tmp_path, {"method": "gcn"} | changes)
    fitting = fitting_of(config, split.train)
    state = fitting.fresh()
    params = state.params.replace(user=jnp.zeros_like(state.params.user))
    model = fitting.model(state.replace(params=params))
    known = Histories.of_all(split.train, "raw")
    of_known, of_strangers = (scores_of(model, each) for each in (known, known.of_strangers()))
    close = 1e-5 * np.abs(of_known).max()
    np.testing.assert_allclose(of_strangers, of_known, rtol=0, atol=close)
    assert (np.abs(of_strangers).max() > 0) == (
        config.model.layers > 0 or bool(changes.get("walks__weight"))
    )


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"loss__name": "softmax", "loss__negatives": 64},
        {"model__receiver_exponent": 0.6, "model__sender_exponent": 0.3, "model__layer_zero": 0.2},
    ],
    ids=["BPR", "softmax", "LightGCN++"],
)
def test_folded_in_with_the_vector_that_training_gave_a_listener_has_the_trained_scores(
    tmp_path: Path, changes: dict[str, Any]
) -> None:
    config, split = _make(tmp_path, {"method": "gcn"} | changes)
    fitting = fitting_of(config, split.train)
    state, _ = fitting.advance(fitting.fresh(), 0, Hooks(Console(quiet=True).progress))
    model = fitting.model(state)
    assert isinstance(model, Factors) and isinstance(model.fold_in, MessageSum)
    histories = Histories.of_all(split.train, "raw")
    given = fitting.setup.convolution.own_weight * np.asarray(state.params.user)
    folded = (model.fold_in.sums(histories.of_strangers()) + given) @ model.item.T
    trained = scores_of(model, histories)
    close = 1e-5 * np.abs(trained).max()
    np.testing.assert_allclose(folded, trained, rtol=0, atol=close)


def test_contributions_and_the_rest_add_up_to_the_score(case: Fitted) -> None:
    items = np.arange(case.model.num_items, dtype=np.int32)[::-1]
    for histories in both(case):
        whole = scores_of(case.model, histories)
        for row in (0, 17, 47):
            history = histories.take(np.array([row]))
            found = case.model.contributions(history, items)
            assert isinstance(found, Contributions)
            assert found.entries.shape == (len(history.items), len(items))
            assert all(part.shape == (len(items),) for part in found.rest.values())
            close = 1e-5 * np.abs(whole[row]).max()
            np.testing.assert_allclose(found.total(), whole[row, items], rtol=0, atol=close)


def test_saved_and_loaded_it_is_the_same_to_the_bit(case_in_order: Fitted, tmp_path: Path) -> None:
    case = case_in_order
    with Checkpoints(tmp_path / "model.ckpt") as checkpoints:
        checkpoints.save(save_model(case.model), step=1, score=None)
    with Checkpoints(tmp_path / "model.ckpt", read_only=True) as checkpoints:
        about = checkpoints.about(1)
        loaded = restore_model(checkpoints.restore(1, model_shapes(about)))
    assert type(loaded) is type(case.model)
    assert save_model(loaded).about == about
    history, items = case.histories.take(np.array([5])), np.arange(case.model.num_items)
    for histories in both(case):
        np.testing.assert_array_equal(
            scores_of(loaded, histories), scores_of(case.model, histories)
        )
    np.testing.assert_array_equal(
        loaded.contributions(history, items).entries,
        case.model.contributions(history, items).entries,
    )
    np.testing.assert_array_equal(loaded.similarities(3), case.model.similarities(3))


def test_users_one_at_a_time_equal_a_batch_bit_for_bit(case_in_order: Fitted) -> None:
    case = case_in_order
    for histories in both(case):
        items, scores = top_k(case.model, histories, k=case.model.num_items)
        backwards = np.arange(len(histories))[::-1]
        for rows in (np.array([0]), np.array([29]), np.array([7, 7, 3]), backwards):
            own_items, own_scores = top_k(case.model, histories.take(rows), k=case.model.num_items)
            np.testing.assert_array_equal(own_items, items[rows])
            np.testing.assert_array_equal(own_scores.view(np.int32), scores[rows].view(np.int32))


def test_blended_with_itself_it_ranks_as_itself(case: Fitted) -> None:
    twice = blend([case.model, case.model], [1.0, 0.5], case.known)
    for histories in both(case):
        own = scores_of(case.model, histories)
        order, _ = top_k(twice, histories, k=case.model.num_items)
        ordered = np.take_along_axis(own, order, axis=1)
        rises = np.diff(ordered, axis=1).max()
        assert rises <= 1e-5 * np.ptp(own, axis=1).max() + 1e-12


def test_similar_items_are_of_the_same_group(case: Fitted) -> None:
    ids = case.split.train.items
    item = int(ids.index_of(["s2-7"])[0])
    similarity = case.model.similarities(item)
    assert similarity.shape == (case.model.num_items,) and similarity.dtype == np.float32
    nearest, _ = similar_items(case.model, item, k=ITEMS_PER_GROUP - 1, candidates=case.known)
    if case.name in ALL_ALIKE:
        assert len(nearest) == ITEMS_PER_GROUP - 1
    else:
        assert {str(ids.ids[each])[:3] for each in nearest} == {"s2-"}


@pytest.mark.parametrize("name", CASES)
def test_blends_of_factors_are_factors_and_no_others(
    fit: Callable[[str], Fitted], name: str
) -> None:
    assert isinstance(fit(name).model, Factors) == (name in FACTORS)


def test_a_blend_of_factors_has_the_scores_of_any_other_blend(
    fit: Callable[[str], Fitted],
) -> None:
    cases = [fit(name) for name in ("gcn", "ials", "most_popular")]
    members, weights = [each.model for each in cases], [1.0, 0.5, 0.2]
    fast = blend(members, weights, cases[0].known)
    slow = Blend(tuple(members), tuple(weights), cases[0].known)
    assert isinstance(fast, Factors)
    for histories in both(cases[0]):
        expected = scores_of(slow, histories)
        close = 1e-4 * np.abs(expected).max()
        np.testing.assert_allclose(scores_of(fast, histories), expected, rtol=0, atol=close)
