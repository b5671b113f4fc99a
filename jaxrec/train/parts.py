"""What a configuration's words stand for: the network, the loss, the optimizer."""

import functools

import jax
import optax
from jax.sharding import Mesh

from jaxrec.config import RunConfig
from jaxrec.errors import UserError
from jaxrec.gcn import losses
from jaxrec.gcn.convolution import LightGCN
from jaxrec.gcn.message_passing import Sums, choose_kernel
from jaxrec.gcn.objectives import EdgeObjective, Objective
from jaxrec.gcn.sharing import Sharing
from jaxrec.gcn.user_objective import UserObjective
from jaxrec.train.step import learning_rate


def convolution_of(config: RunConfig, mesh: Mesh | None) -> LightGCN:
    """The network, on one device or on a mesh of them.

    Raises:
      UserError: the kernel can't be had here.
    """
    dealt = mesh is not None
    return LightGCN(
        num_layers=config.model.layers,
        sums=Sums(_kernel(config, dealt=dealt), config.model.dtype, dealt, config.mesh.gather_dims),
        receiver_exponent=config.model.receiver_exponent,
        sender_exponent=config.model.sender_exponent,
        unit_layers=config.model.unit_layers,
        layer_zero=config.model.layer_zero,
    )


def objective_of(config: RunConfig, convolution: LightGCN, mesh: Mesh | None) -> Objective:
    """What the name of a loss stands for: the one place that knows these names."""
    loss, sharing = config.loss, None
    if mesh is not None and config.mesh.loss == "shared":
        sharing = Sharing(mesh.size, config.mesh.gather_dims)
    match loss.name:
        case "bpr":
            return EdgeObjective(convolution, loss.negatives, loss.l2, sharing=sharing)
        case "softmax":
            ranking = losses.Softmax(loss.temperature, loss.negative_weight)
            return UserObjective(convolution, loss.negatives, loss.l2, ranking, sharing=sharing)


def _kernel(config: RunConfig, *, dealt: bool) -> str:
    try:
        return choose_kernel(config.model.kernel, jax.default_backend(), dealt=dealt)
    except ValueError as error:
        raise UserError(f"config.model.{error}; expected auto, which takes another") from error


@functools.lru_cache(maxsize=16)
def adam(
    peak: float, schedule: str, warmup_steps: int, total_steps: int
) -> optax.GradientTransformation:
    """Adam; the same object for the same settings, so that the step is traced once for all runs."""
    return optax.adam(
        learning_rate(
            peak=peak, schedule=schedule, warmup_steps=warmup_steps, total_steps=total_steps
        )
    )
