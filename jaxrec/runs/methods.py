"""Every method by its name: the network, the closed forms and blends of them.

The one place that knows a method by its name; everything else asks the `Method`.
"""

from collections.abc import Mapping
from typing import Any

from jaxrec.config import RunConfig, with_fields
from jaxrec.data.interactions import Interactions
from jaxrec.errors import UserError
from jaxrec.models import closed_forms
from jaxrec.models.blend import blend
from jaxrec.models.method import Fitting, Hooks, Method, fitted
from jaxrec.models.model import Model
from jaxrec.models.popularity import item_users
from jaxrec.runs.at_once import ClosedForm, ModelFitting
from jaxrec.train.network import Network


class BlendMethod:
    """Several methods' models, weighted; see `Method`.

    Each member is fitted by itself, with the settings of its own group.
    """

    name = "blend"
    sums = True

    def is_random(self, config: RunConfig) -> bool:
        """Whether chance has a part in a member."""
        return any(METHODS[name].is_random(config) for name in self.members(config))

    def identity(self, config: RunConfig) -> dict[str, Any]:
        """Every member's fields, by the member's name."""
        fields: dict[str, Any] = {"blend.models": list(self.members(config))}
        for name in self.members(config):
            own = METHODS[name].identity(config)
            fields |= {f"{name}: {field}": value for field, value in own.items()}
        return fields

    def ranking(self, config: RunConfig) -> dict[str, Any]:
        """The members' own, and their weights."""
        fields = {
            f"blend.weights.{name}": getattr(config.blend.weights, name)
            for name in self.members(config)
        }
        for name in self.members(config):
            fields |= METHODS[name].ranking(config)
        return fields

    def frozen(self, config: RunConfig) -> dict[str, Any]:
        """The members' own."""
        fields: dict[str, Any] = {}
        for name in self.members(config):
            fields |= METHODS[name].frozen(config)
        return fields

    def owns(self, field: str, config: RunConfig) -> bool:
        """A member's field, or its weight."""
        return any(
            field == f"blend.weights.{name}" or METHODS[name].owns(field, config)
            for name in self.members(config)
        )

    def members(self, config: RunConfig) -> tuple[str, ...]:
        """Those of `config.blend.models`, each once.

        Raises:
          UserError: one is named twice or isn't a method that can be blended, or no weight is
            above 0.
        """
        names = config.blend.models
        for name in names:
            if name not in METHODS or name == self.name or names.count(name) > 1:
                others = ", ".join(each for each in METHODS if each != self.name)
                raise UserError(
                    f"config.blend.models is {names!r}; expected different ones of {others}"
                )
        check_weights({name: getattr(config.blend.weights, name) for name in names})
        return names

    def fitting(self, config: RunConfig, train: Interactions, *, copies: int = 1) -> ModelFitting:
        """Fits one member after another, in memory; `runs.fit` does it in a run's folder."""
        return ModelFitting(lambda hooks: fit_model(config, train, hooks, copies=copies))


def check_weights(weights: Mapping[str, float]) -> None:
    """Whether some methods with these weights are a blend.

    Raises:
      UserError: none is above 0.
    """
    if not any(weight > 0 for weight in weights.values()):
        raise UserError(
            f"config.blend.weights gives each of {', '.join(weights)} 0; expected one above 0"
        )


# Of each member of a blend: what it was fitted by, and the model.
Remembered = dict[str, tuple[dict[str, Any], Model]]


def fit_model(
    config: RunConfig,
    train: Interactions,
    hooks: Hooks,
    *,
    copies: int = 1,
    remembered: Remembered | None = None,
) -> Model:
    """Fits in memory what `config.method` names.

    Args:
      config: the settings.
      train: what may be known.
      hooks: who watches.
      copies: how many such fits are held in memory at once.
      remembered: a blend's members that were fitted to the same interactions before; those with
        the same settings are taken from there, and the others put there.

    Raises:
      RunError: the loss or the state became NaN or infinite.
      UserError: the settings don't suit the data or the memory.
    """
    method = method_of(config)
    names = method.members(config)
    if not names:
        return fitted(method.fitting(config, train, copies=copies), hooks)
    remembered = {} if remembered is None else remembered
    for name in names:
        own = member_config(config, name)
        member = METHODS[name]
        key = member.identity(own) | member.ranking(own) | member.frozen(own)
        key |= {"data.weight": own.data.weight}
        key["history.learnt_half_life_days"] = own.history.learnt_half_life_days
        if name not in remembered or remembered[name][0] != key:
            remembered.pop(name, None)  # its memory is free before the next is fitted
            remembered[name] = key, fit_model(own, train, hooks, copies=copies)
    return blended({name: remembered[name][1] for name in names}, config, train)


def blended(models: Mapping[str, Model], config: RunConfig, train: Interactions) -> Model:
    """The members' models with the weights that `config.blend.weights` gives them."""
    weights = [getattr(config.blend.weights, name) for name in models]
    return blend(list(models.values()), weights, item_users(train) > 0)


def member_config(config: RunConfig, name: str) -> RunConfig:
    """The configuration by which a member of a blend is fitted alone."""
    return with_fields(config, {"method": name})


METHODS: dict[str, Method] = {
    "gcn": Network(),
    **{
        name: ClosedForm(
            name, random=name in closed_forms.RANDOM, sums=name == "gfcf", group=f"baseline.{name}"
        )
        for name in (
            *("itemknn", "rp3beta", "ease", "slim", "ials", "gfcf"),
            *("recent_popular", "transitions", "sessions"),
        )
    },
    **{
        name: ClosedForm(name, random=False, sums=False, group=None)
        for name in ("most_popular", "own_plays")
    },
    "walks": ClosedForm("walks", random=False, sums=True, group="walks", unused=("weight",)),
    "blend": BlendMethod(),
}


def is_automatic(config: RunConfig) -> bool:
    """Whether a method is yet to be chosen for the data."""
    return config.method == "auto"


def method_of(config: RunConfig) -> Method:
    """The method that `config.method` names.

    Raises:
      UserError: it is auto, which chooses one and has none itself.
    """
    if is_automatic(config):
        raise UserError(
            "config.method is 'auto', which `train` alone takes; expected a method by its name: "
            f"{', '.join(METHODS)}"
        )
    return METHODS[config.method]


def fitting_of(config: RunConfig, train: Interactions, *, copies: int = 1) -> Fitting:
    """That method, about to be fitted to some interactions."""
    return method_of(config).fitting(config, train, copies=copies)
