"""A run's model that knows of listens of after training; the network isn't trained for it."""

import dataclasses

from jaxrec.config import RunConfig
from jaxrec.data.interactions import Interactions
from jaxrec.errors import UserError
from jaxrec.models.closed_forms import BY_TIME
from jaxrec.models.method import Hooks
from jaxrec.models.model import Model
from jaxrec.runs.methods import blended, fit_model, fitting_of, member_config, method_of
from jaxrec.runs.trained import Trained
from jaxrec.train.joining import Joiners, joined, own_vectors
from jaxrec.train.network import NetworkFitting


def join(trained: Trained, joiners: Joiners, hooks: Hooks) -> Model:
    """The model whose items know of the joiners' listens.

    The network's graph has them in it, with own vectors that are solved for. What is fitted at
    once is fitted to their listens, too.

    Args:
      trained: a run that was opened.
      joiners: users of after training.
      hooks: who watches the fits.

    Raises:
      UserError: the model's listens have times that count, or it is the network's and was saved
        without its parameters.
    """
    _check_no_times(trained.config)
    return _join(trained, joiners, joiners.added_to(trained.split.train), hooks)


def _join(trained: Trained, joiners: Joiners, whole: Interactions, hooks: Hooks) -> Model:
    config, members = trained.config, dict(trained.members)
    names = method_of(config).members(config)
    if names:
        # Of a blend that was saved as a whole the members are known by their settings alone.
        of = {name: members.get(name) or _settings_alone(trained, name) for name in names}
        models = {name: _join(each, joiners, whole, hooks) for name, each in of.items()}
        return blended(models, config, whole)
    if trained.made_of is not None:
        fitting, state = trained.made_of
        assert isinstance(fitting, NetworkFitting)
        return joined(fitting, state, whole, own_vectors(fitting, state, joiners.histories))
    if fitting_of(config, whole).iterative:
        raise UserError(
            "--join: the model was saved without the parameters that it was made of; expected the "
            "folder of a run, or no --join"
        )
    return fit_model(config, whole, hooks)


def _settings_alone(trained: Trained, name: str) -> Trained:
    return dataclasses.replace(
        trained, config=member_config(trained.config, name), members={}, made_of=None
    )


def _check_no_times(config: RunConfig) -> None:
    """Raises UserError where the times of listens count, which two readings don't share."""
    half_life = config.learnt_weights.half_life_days
    if half_life is not None:
        raise UserError(
            f"--join: config.history.learnt_half_life_days is {half_life}, and the ages of two "
            "readings don't go together; expected no --join"
        )
    for name in method_of(config).members(config) or (config.method,):
        if name in BY_TIME:
            raise UserError(
                f"--join: {name} is fitted to the times of listens, and those of two readings "
                "don't go together; expected no --join"
            )
