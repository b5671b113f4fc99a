"""Losses, samplers and graph variants from the literature, each beside the recipe it changes.

`./benchmarks/run.sh variants --config=configs/gowalla.py --data=FOLDER` trains each for the same
epochs on the same training part, measures all users of the validation part, and writes a table.
A variant is other values of the configuration, or a plug-in of the training step, or both. What
helps belongs into jaxrec; what doesn't stays here, so that it can be tried again. The test part is
never ranked.
"""

import argparse
import dataclasses
import importlib.util
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from benchmarks import variant_graphs, variant_losses
from benchmarks.measuring import machine
from benchmarks.tables import markdown_table
from jaxrec.config import RunConfig, read_config, with_fields
from jaxrec.data.interactions import Interactions
from jaxrec.errors import RunError
from jaxrec.gcn.graph import BipartiteGraph
from jaxrec.models.factors import Factors
from jaxrec.models.fold_in import Constant
from jaxrec.rank.measure import Measure
from jaxrec.report.console import Console
from jaxrec.runs.compilation import keep_compiled
from jaxrec.runs.prepare import prepare_split
from jaxrec.train.loop import Training, train_epoch
from jaxrec.train.setup import build
from jaxrec.train.step import TrainState


class Variant(NamedTuple):
    """What is changed of a recipe.

    Attributes:
      fields: values of the configuration, as `with_fields` takes them.
      source: who proposed it.
      objective: makes another of the recipe's objective and the graph.
      start: makes other parameters of the graph and the recipe's.
    """

    fields: Mapping[str, Any] = {}
    source: str = ""
    objective: Callable[[Any, BipartiteGraph], Any] = lambda objective, graph: objective
    start: Callable[[BipartiteGraph, Any], Any] = lambda graph, params: params


def _with_loss(make: Callable[..., Any], **settings: Any) -> Callable[[Any, Any], Any]:
    """Puts the loss that `make` makes of the recipe's in its place."""
    return lambda o, graph: dataclasses.replace(o, loss=make(o.loss, **settings))


def _with_sampler(sampler: Any) -> Callable[[Any, Any], Any]:
    return lambda o, graph: dataclasses.replace(o, sampler=sampler)


def _simplex(margin: float, weight: float) -> Variant:
    loss = variant_losses.cosine_contrast(margin, weight)
    return Variant(UNIFORM, "arXiv:2109.12613", _with_loss(lambda softmax: loss))


UNIFORM = {"loss.sampler": "uniform"}
TWO = {"model.layers": 2}
BPR = {
    "loss.name": "bpr",
    "loss.negatives": 1,
    "batch_size": 2048,
    "model.init_stddev": 0.1,
    **UNIFORM,
}
LIGHT = {
    "model.receiver_exponent": 0.5,
    "model.sender_exponent": 0.5,
    "model.unit_layers": False,
    "model.layer_zero": None,
    "model.layers": 1,
}
PLUS_PLUS = {
    "model.receiver_exponent": 0.6,
    "model.sender_exponent": -0.1,
    "model.unit_layers": True,
    "model.layer_zero": 0.2,
    "model.layers": 2,
}


def _popularity(alpha: float, source: str = "") -> Variant:
    return Variant({"loss.sampler": "popularity", "loss.popularity_alpha": alpha}, source)


VARIANTS: dict[str, Variant] = {
    "the recipe": Variant(),
    "BSL, weight .84": Variant({"loss.negative_weight": 0.84}, "arXiv:2312.12882"),
    "temperature .08": Variant({"loss.temperature": 0.08}),
    "temperature .12": Variant({"loss.temperature": 0.12}),
    "uniform negatives": Variant(UNIFORM),
    "popularity^0.5": _popularity(0.5, "arXiv:1310.4546"),
    "popularity^1.3": _popularity(1.3),
    "in-batch negatives": Variant({}, "arXiv:2201.02327", _with_sampler(variant_losses.in_batch)),
    "in-batch, logQ-corrected": Variant(
        {}, "doi:10.1145/3298689.3346996", _with_sampler(variant_losses.in_batch_corrected)
    ),
    "listened songs not left out": Variant({}, "", _with_sampler(variant_losses.known_too)),
    "SimpleX CCL, margin .4": _simplex(0.4, 150.0),
    "SimpleX CCL, margin .8": _simplex(0.8, 300.0),
    "SL@20": Variant({}, "arXiv:2508.05673", _with_loss(variant_losses.softmax_at_k)),
    "Adap-tau": Variant(
        {},
        "arXiv:2302.04775",
        lambda o, graph: dataclasses.replace(
            o, loss=variant_losses.adaptive_temperature(graph, o.loss.negative_weight)
        ),
    ),
    "listeners weigh alike": Variant(
        {}, "", _with_loss(variant_losses.weighed_by_activity, exponent=1.0)
    ),
    "listeners weigh by root": Variant(
        {}, "", _with_loss(variant_losses.weighed_by_activity, exponent=0.5)
    ),
    "0 layers": Variant({"model.layers": 0}, "matrix factorisation"),
    "2 layers": Variant(TWO),
    "3 layers": Variant({"model.layers": 3}),
    "layer 0 weighs .3": Variant({"model.layer_zero": 0.3}, "arXiv:2409.17574"),
    "layer 0 weighs .7": Variant({"model.layer_zero": 0.7}, "arXiv:2409.17574"),
    "learned layer weights, 2 layers": Variant(
        TWO,
        "arXiv:2002.02126",
        lambda o, graph: dataclasses.replace(
            o, convolution=variant_graphs.learned_layers(o.convolution)
        ),
        lambda graph, params: variant_graphs.weighed(params, num_layers=2),
    ),
    "LightGCN, 1 layer": Variant(LIGHT, "arXiv:2002.02126"),
    "LightGCN++": Variant(PLUS_PLUS, "doi:10.1145/3640457.3688176"),
    "edge dropout .2": Variant(
        {},
        "arXiv:2010.10783",
        lambda o, graph: variant_graphs.Changed(o, variant_graphs.drop_edges(graph, 0.2)),
    ),
    "XSimGCL, 2 layers": Variant(
        TWO,
        "arXiv:2209.02544",
        lambda o, graph: variant_graphs.Changed(o, variant_graphs.contrast(0.2)),
    ),
    "SVD start": Variant(
        start=lambda graph, params: variant_graphs.singular_vectors(graph, params, 0.01)
    ),
    "BPR": Variant(BPR, "arXiv:1205.2618"),
    "BPR, DNS of 16": Variant(
        BPR | {"loss.negatives": 16},
        "doi:10.1145/2484028.2484126",
        _with_loss(lambda bpr: variant_losses.hardest),
    ),
    "BPR, MixGCF of 16": Variant(
        BPR | {"loss.negatives": 16},
        "doi:10.1145/3447548.3467408",
        lambda o, graph: variant_graphs.Changed(o, variant_graphs.mix_positives),
    ),
}


def prepare(variant: Variant, config: RunConfig, train: Interactions) -> tuple[Training, Any]:
    """What a variant trains with, and its parameters at the start."""
    # Plug-ins need know nothing of rows that other devices have.
    changed = with_fields(config, variant.fields | {"mesh.devices": 1})
    setup = build(changed, train)
    made = variant.objective(setup.objective, setup.data.graph)
    objective, batches = made.with_batches(setup.totals, changed.batch_size)
    training = Training(setup.data, objective, batches, setup.optimizer, setup.seed)
    return training, variant.start(setup.data.graph, setup.fresh_state().params)


def train_variant(
    variant: Variant, config: RunConfig, measure: Measure, *, every: int, description: str
) -> dict[str, Any]:
    """Trains a variant and measures the validation part.

    Args:
      variant: what is changed.
      config: the recipe.
      measure: of its split.
      every: epochs between two measurements.
      description: for what is printed.

    Returns:
      The metrics of the best of the measured epochs, that epoch, and seconds per epoch.
    """
    training, params = prepare(variant, config, measure.split.train)
    state = TrainState(jnp.int32(0), params, training.optimizer.init(params))
    final = jax.jit(training.objective.convolution)
    metric, seconds = config.eval.metric, []
    best: dict[str, Any] = {"metrics": {}, "epoch": 0}
    for epoch in range(1, config.epochs + 1):
        start = time.perf_counter()
        try:
            state, loss = train_epoch(training, state, epoch - 1, on_steps=lambda edges, loss: None)
        except RunError as error:
            print(f"{description}: {error}")
            return {"metrics": {}, "epoch": epoch, "seconds": time.perf_counter() - start}
        seconds.append(time.perf_counter() - start)
        if epoch % every and epoch < config.epochs:
            continue
        made = final(training.data.graph, state.params)
        user, item = np.asarray(made.user), np.asarray(made.item)
        model = Factors(user, item, Constant(np.zeros(item.shape[1], np.float32)))
        figures = measure.of_all("validation", model, config.eval.ks).means()
        print(f"{description}: epoch {epoch}, loss {loss:.4f}, {metric} {figures[metric]:.4f}")
        if figures[metric] > best["metrics"].get(metric, -1.0):
            best = {"metrics": figures, "epoch": epoch}
    return best | {"seconds": statistics.median(seconds)}


def main(arguments: Sequence[str] | None = None) -> int:
    """Trains the variants asked for and writes the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--config", type=Path, required=True, help="a file such as configs/gowalla.py"
    )
    parser.add_argument("--data", help="where the data lie; otherwise downloaded")
    parser.add_argument("--epochs", type=int, default=16)
    parser.add_argument("--every", type=int, default=4, help="epochs between measurements")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="", help="names, by semicolons")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/variants.md"))
    options = parser.parse_args(arguments)
    names = options.only.split(";") if options.only else list(VARIANTS)
    if unknown := set(names) - set(VARIANTS):
        parser.error(f"--only names {sorted(unknown)}; expected some of {'; '.join(VARIANTS)}")
    keep_compiled()
    config = _read(options)
    split = prepare_split(config, Console(quiet=True))
    measure = Measure(config, split, peek=False)
    shown = [f"{name}@{config.eval.ks[-1]}" for name in ("recall", "ndcg")]
    rows = []
    options.out.parent.mkdir(parents=True, exist_ok=True)
    for name in names:
        variant = VARIANTS[name]
        found = train_variant(variant, config, measure, every=options.every, description=name)
        metrics = found["metrics"]
        figures = [f"{metrics[each]:.4f}" if metrics else "diverged" for each in shown]
        time_taken = f"{found['seconds']:.1f} s"
        rows.append([name, *figures, str(found["epoch"]), time_taken, variant.source])
        table = markdown_table(["variant", *shown, "best epoch", "an epoch", "source"], rows)
        options.out.write_text(f"{options.config}, validation; {machine()}\n\n{table}")
    print(table)
    return 0


def values_of(path: Path) -> ConfigDict:
    """What the `get_config` of a config file returns."""
    spec = importlib.util.spec_from_file_location("config", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    values: ConfigDict = module.get_config()
    return values


def _read(options: argparse.Namespace) -> RunConfig:
    values = values_of(options.config)
    values.data.path, values.epochs, values.seed = options.data, options.epochs, options.seed
    values.data.validation_fraction = values.data.validation_fraction or 0.1
    return read_config(values.to_dict())


if __name__ == "__main__":
    sys.exit(main())
