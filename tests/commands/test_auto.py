"""`method = auto` on a small history: an ordinary run in the end; it goes on, and heeds fields."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from jaxrec.commands import train
from jaxrec.config import RunConfig
from jaxrec.errors import UserError
from jaxrec.runs.trained import open_for_use, open_trained
from jaxrec.search.auto import parts, trials
from tests.recommending import recommend

MakeConfig = Callable[..., RunConfig]

AUTO: dict[str, Any] = {
    "method": "auto",
    "data__split": "random",
    "auto__effort": "quick",
    "auto__refit": True,
    "blend__models": ("itemknn", "rp3beta", "gcn"),  # each setting of the network is compiled
    "loss__temperature": 0.3,
    "model__layers": 2,
    "epochs": 2,
    "batch_size": 512,
    "lr": 0.02,
    "eval__metric": "recall@10",
    "quiet": True,
}


@pytest.fixture(scope="module")
def chosen(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from tests.checkerboard import config_of, write_checkerboard

    folder = tmp_path_factory.mktemp("auto")
    train(config_of(write_checkerboard(folder / "listens.csv"), **AUTO), folder / "run")
    return folder


def answers(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "auto.jsonl").read_text().splitlines()]


def test_it_ends_as_an_ordinary_run_with_what_it_chose(chosen: Path) -> None:
    config = json.loads((chosen / "run" / "config.json").read_text())["config"]
    assert config["method"] != "auto"
    assert config["epochs"] == 2 and config["lr"] == 0.02  # set, and so kept
    rows = answers(chosen / "run")
    scores = [row["answer"]["score"] for row in rows[1:] if "method" in row["question"]]
    assert len(scores) >= 5
    blend = next(row["answer"] for row in rows if "blend" in row.get("question", {}))
    assert blend["score"] >= max(blend["alone"].values())
    assert (chosen / "run" / "results.json").exists()
    assert open_trained(chosen / "run", None).split.validation is None


def test_a_model_for_use_of_an_earlier_run_is_not_used(
    chosen: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(chosen / "run", tmp_path / "run")
    path = tmp_path / "run" / "for-use" / "fitted-to-all.json"
    said = json.loads(path.read_text())
    path.write_text(json.dumps(said | {"of": said["of"] | {"seed": 7}}))
    used = open_for_use(tmp_path / "run", None)
    assert used.split.test is not None
    assert "is of an earlier run (seed was 7, is 0) and not used" in capsys.readouterr().err


def test_the_model_for_use_has_seen_everything_and_is_taken_by_recommend(
    chosen: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    measured, used = (each(chosen / "run", None) for each in (open_trained, open_for_use))
    assert measured.split.test is not None and used.split.test is None
    assert len(used.split.train) == len(measured.split.train) + len(measured.split.test)
    said = json.loads((chosen / "run" / "for-use" / "fitted-to-all.json").read_text())
    assert said["interactions"] == len(used.split.train)
    assert not (chosen / "run" / "for-use" / "results.json").exists()
    recommend(
        chosen / "run",
        k=3,
        output=tmp_path / "lists.csv",
        users=None,
        users_file=None,
        seen="exclude",
        step=None,
    )
    assert "for-use" in capsys.readouterr().out


def test_cut_anywhere_it_goes_on_to_the_same(
    chosen: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = (chosen / "run" / "auto.jsonl").read_text().splitlines(keepends=True)
    run = tmp_path / "run"
    run.mkdir()
    (run / "auto.jsonl").write_text("".join(lines[: len(lines) // 2]) + lines[-1][:20])
    fitted = []
    fit = trials.fit_candidate

    def watched(*args: Any, **kwargs: Any) -> Any:
        fitted.append(args[0].method)
        return fit(*args, **kwargs)

    monkeypatch.setattr(trials, "fit_candidate", watched)
    from tests.checkerboard import config_of

    train(config_of(chosen / "listens.csv", **AUTO), run)
    assert 0 < len(fitted) < len(lines)
    for name in ("results.json", "per_user.parquet"):
        assert (run / name).read_bytes() == (chosen / "run" / name).read_bytes()
    fitted.clear()
    shutil.rmtree(run / "for-use")
    train(config_of(chosen / "listens.csv", **AUTO), run)
    assert not fitted  # all of it was known
    with pytest.raises(UserError, match=r"holds a search with auto.effort = quick, this one has"):
        train(config_of(chosen / "listens.csv", **AUTO | {"auto__effort": "normal"}), run)
    monkeypatch.setattr(parts, "FRACTION", 0.5)  # as if another version cut other parts
    with pytest.raises(
        UserError, match=r"holds a search with validation \(interactions, SHA-256\)"
    ):
        train(config_of(chosen / "listens.csv", **AUTO), run)


def test_of_named_methods_it_tries_no_other_and_without_a_split_it_cuts_its_own(
    checkerboard_config: MakeConfig, tmp_path: Path
) -> None:
    changes = AUTO | {"data__split": "none", "blend__models": ("itemknn", "most_popular")}
    train(checkerboard_config(**changes), tmp_path / "run")
    methods = {
        row["question"]["method"]
        for row in answers(tmp_path / "run")[1:]
        if "method" in row["question"]
    }
    assert methods == {"itemknn", "most_popular"}
    assert not (tmp_path / "run" / "for-use").exists()  # the run itself has learnt from all


def test_weights_that_leave_out_every_method_are_refused_before_anything_is_tried(
    checkerboard_config: MakeConfig, tmp_path: Path
) -> None:
    none = {f"blend__weights__{name}": 0.0 for name in AUTO["blend__models"]}
    with pytest.raises(
        UserError, match="gives each of itemknn, rp3beta, gcn 0; expected one above"
    ):
        train(checkerboard_config(**AUTO, **none), tmp_path / "run")
    assert not (tmp_path / "run" / "auto.jsonl").exists()


def test_what_counts_at_ranking_is_kept_where_it_is_set(
    checkerboard_config: MakeConfig, tmp_path: Path
) -> None:
    ranking = {"walks__weight": 3.0, "ranking__length_exponent": 0.5}
    changes = AUTO | {"blend__models": ("gcn",), "auto__refit": False} | ranking
    train(checkerboard_config(**changes), tmp_path / "run")
    config = open_trained(tmp_path / "run", None).config
    assert config.method == "gcn"
    assert config.walks.weight == 3.0 and config.ranking.length_exponent == 0.5


def test_fields_given_at_their_defaults_are_kept(
    checkerboard_config: MakeConfig, tmp_path: Path
) -> None:
    changes = AUTO | {"blend__models": ("itemknn",)}
    field = "baseline.itemknn.shrink"
    train(checkerboard_config(**changes), tmp_path / "run", given=frozenset({field}))
    questions = [
        row["question"] for row in answers(tmp_path / "run")[1:] if "method" in row["question"]
    ]
    assert all(field not in question["settings"] for question in questions)


def test_from_python_it_is_a_method_like_any_other(checkerboard: Path) -> None:
    import jaxrec as jr

    listens = jr.read(checkerboard, plays="plays")
    split = jr.split(listens, seed=0)
    model = jr.fit(
        split.train,
        "auto",
        auto={"effort": "quick"},
        blend={"models": ("itemknn", "rp3beta")},
        eval={"metric": "recall@5"},
    )
    assert model.method in ("itemknn", "rp3beta", "blend")
    assert jr.evaluate(model, split, ks=(5,)).summary()["recall@5"]["mean"] > 0.2


def test_by_time_it_weighs_listens_by_age_and_blends_what_is_heard_again(tmp_path: Path) -> None:
    from tests.listening import config_by_time, listens, write

    fields = {"blend__models": ("own_plays", "rp3beta"), "auto__effort": "quick"}
    path = write(tmp_path / "listens.csv", listens())
    config = config_by_time(path, method="auto", eval__seen="include", **fields)
    train(config, tmp_path / "run")
    found = open_trained(tmp_path / "run", None)
    (history,) = (
        row["answer"]["fields"]
        for row in answers(tmp_path / "run")
        if "history" in row.get("question", {})
    )
    assert found.config.history.weight == history["history.weight"]
    assert found.config.history.half_life_days == history["history.half_life_days"]
    assert (tmp_path / "run" / "seen" / "only" / "results.json").exists()
