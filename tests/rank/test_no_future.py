"""No look into the future: what comes after the moment changes nothing that is learnt or listed."""

from pathlib import Path

import numpy as np
import pytest

from jaxrec.models.method import Hooks, unseen
from jaxrec.models.model import Model
from jaxrec.rank.measure import Measure
from jaxrec.rank.seen import Seen
from jaxrec.rank.top_k import top_k
from jaxrec.report.console import Console
from jaxrec.runs.methods import METHODS, fit_model
from jaxrec.runs.prepare import prepare_split
from jaxrec.runs.saved_models import save_model
from tests.checkerboard import SMALL
from tests.kernels import in_order
from tests.listening import MOMENT, config_by_time, listens, write

# Of these a scatter adds up a batch's gradients, or histories before they are projected.
SCATTERED = ("gcn", "gfcf")
METHODS_ALONE = [
    pytest.param(name, marks=in_order if name in SCATTERED else ())
    for name in METHODS
    if name != "blend"
]


def learn_and_list(path: Path, method: str) -> tuple[Model, dict[str, np.ndarray]]:
    """What is learnt of a history, and what is weighed and listed by it."""
    config = config_by_time(
        path,
        method=method,
        epochs=2,
        model__dim=8,
        batch_size=64,
        history__weight="raw",
        history__half_life_days=2.0,
        history__learnt_half_life_days=4.0,
        **SMALL,
    )
    split = prepare_split(config, Console(quiet=True))
    model = fit_model(config, split.train, Hooks(unseen))
    measure = Measure(config, split)
    histories = measure.histories
    assert histories.learnt is not None
    seen = Seen.of_users(split.seen_before("test"), histories.users)
    items, scores = top_k(model, histories, k=9, seen=seen)
    again, _ = top_k(model, histories, k=9, seen=Seen(seen.offsets, seen.items, only=True))
    arrays = save_model(model).arrays
    found = {f"model {name}": np.asarray(each) for name, each in arrays.items()}
    found |= {"weights": histories.weights, "learnt": histories.learnt}
    found |= {"items": items, "scores": scores, "again": again}
    assert split.validation is not None
    return model, found | {"validation": split.validation.keys()}


@pytest.mark.parametrize("method", METHODS_ALONE)
def test_listens_after_the_moment_change_no_bit(tmp_path: Path, method: str) -> None:
    past = [row for row in listens() if row[2] < MOMENT]
    future = [row for row in listens(later_seed=7) if row[2] >= MOMENT]
    once = [(user, song, time + 3 * 86_400) for user, song, time in past[::5]] + future[:40]
    _, first = learn_and_list(write(tmp_path / "a.csv", listens()), method)
    _, second = learn_and_list(write(tmp_path / "b.csv", future[::-1] + past), method)
    _, third = learn_and_list(
        write(tmp_path / "c.csv", past + [r for r in once if r[2] >= MOMENT]), method
    )
    for other in (second, third):
        assert first.keys() == other.keys()
        for name, found in first.items():
            np.testing.assert_array_equal(other[name], found, err_msg=name)


def test_listens_before_it_do(tmp_path: Path) -> None:
    _, first = learn_and_list(write(tmp_path / "a.csv", listens()), "itemknn")
    _, second = learn_and_list(write(tmp_path / "b.csv", listens(seed=1)), "itemknn")
    assert any(
        first[name].shape != second[name].shape or (first[name] != second[name]).any()
        for name in ("model values", "weights", "items")
    )
