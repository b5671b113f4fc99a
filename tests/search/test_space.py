"""A declared space: every kind of range is read as its field has it, every mistake is named."""

import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from jaxrec.errors import UserError
from jaxrec.search.space import parse_space
from tests.configurations import config_with


def space_of(*texts: str, **changes: object) -> dict[str, object]:
    return dict(parse_space(config_with(tune__space=texts, **changes)))


def test_every_kind_of_range() -> None:
    assert space_of(
        "lr log 1e-3 1", "loss.l2 float 0 1", "model.layers int 0 3", "model.dim log 8 64"
    ) == {
        "lr": FloatDistribution(0.001, 1.0, log=True),
        "loss.l2": FloatDistribution(0.0, 1.0),
        "model.layers": IntDistribution(0, 3),
        "model.dim": IntDistribution(8, 64, log=True),
    }


def test_choices_are_of_the_type_of_their_field() -> None:
    space = space_of(
        "model.layers in 3 1",
        "lr in 1 0.5",
        "model.dtype in float32 bfloat16",
        "data.weight in log",
    )
    assert [list(each.choices) for each in space.values()] == [
        [3, 1],
        [1.0, 0.5],
        ["float32", "bfloat16"],
        ["log"],
    ]
    assert all(isinstance(each, CategoricalDistribution) for each in space.values())
    assert [type(choice) for choice in space["lr"].choices] == [float, float]


def test_a_baseline_has_a_space_of_its_own() -> None:
    assert space_of("baseline.ease.l2 int 1 1000", method="ease") == {
        "baseline.ease.l2": IntDistribution(1, 1000)
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", 'expected "FIELD log LOW HIGH"'),
        ("lr log 0.1", 'expected "FIELD log LOW HIGH"'),
        ("lr in", 'expected "FIELD log LOW HIGH"'),
        ("lr near 1 2", 'expected "FIELD log LOW HIGH"'),
        ("rl log 1 2", "config.rl is not a field"),
        ("model.dmi int 1 2", "did you mean config.model.dim"),
        ("model log 1 2", "config.model is 1; expected a group of fields"),
        ("lr log 0 1", "config.lr is 0; expected a number above 0"),
        ("lr float one 2", "config.lr is 'one'; expected a number above 0"),
        ("lr float nan 2", "config.lr is nan; expected a number above 0"),
        ("loss.l2 log 0 1", "LOW is 0.0; expected a number above 0 for log"),
        ("lr float 2 1", "LOW is 2.0 and HIGH is 1.0; expected LOW below HIGH"),
        ("lr int 0.5 2", "expected whole numbers for int"),
        ("model.layers float 1 2", "the field is a whole number; expected int or log"),
        ("model.layers int 0.5 2", "config.model.layers is 0.5; expected a whole number"),
        ("model.dtype int float32 bfloat16", 'expected "FIELD in float32 bfloat16"'),
        ("model.layers in 1 1", "a value is there twice"),
        ("model.kernel in csr dense", "config.model.kernel is 'dense'; expected one of auto"),
        ("data.core int 1 5", "config.data.core says what is learnt from"),
        ("eval.metric in recall@10 ndcg@10", "config.eval.metric says what is learnt from"),
        ("seed int 0 9", "config.seed says"),
        ("tune.trials int 1 9", "config.tune.trials says"),
        ("baseline.ease.l2 log 1 2", "changes nothing where config.method is gcn"),
    ],
)
def test_a_mistake_is_named_with_its_text(text: str, message: str) -> None:
    with pytest.raises(UserError) as error:
        space_of(text)
    assert f"config.tune.space has {text!r}: " in str(error.value)
    assert message in str(error.value)


def test_a_field_that_changes_nothing_for_the_method_is_refused() -> None:
    with pytest.raises(UserError, match=r"config\.lr changes nothing where config\.method is ease"):
        space_of("lr log 0.1 1", method="ease")


def test_a_field_is_searched_once() -> None:
    with pytest.raises(UserError, match="lr is there before; expected it once"):
        space_of("lr log 0.1 1", "lr log 0.2 1")


def test_the_default_space_can_be_searched() -> None:
    assert parse_space(config_with())


def test_a_blend_has_the_spaces_of_its_members_and_their_weights() -> None:
    blend = {"method": "blend", "blend__models": ("gcn", "ease")}
    texts = ("blend.weights.ease float 0 2", "baseline.ease.l2 log 1 100", "lr log 1e-3 1")
    assert len(space_of(*texts, **blend)) == 3
    for foreign in ("blend.weights.gfcf float 0 2", "baseline.ials.l2 log 1 2"):
        with pytest.raises(UserError, match="changes nothing where config\\.method is blend"):
            space_of(foreign, **blend)


def test_a_method_without_settings_says_so() -> None:
    with pytest.raises(UserError, match="expected no space: it has no settings"):
        space_of("lr log 0.1 1", method="most_popular")
