"""Losses, samplers and graph variants from the literature, each beside the recipe it changes.

`./benchmarks/run.sh variants --config=configs/gowalla.py --data=FOLDER` trains each for the same
epochs on the same training part, measures all users of the validation part, and writes a table.
What helps belongs into jaxrec; what doesn't stays here, so that it can be tried again. The test
part is never ranked.
"""

import argparse
import dataclasses
import functools
import importlib.util
import math
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import scipy.sparse
import scipy.sparse.linalg

from benchmarks.measuring import machine
from benchmarks.tables import markdown_table
from jaxrec.config import RunConfig, read_config
from jaxrec.data.interactions import Interactions
from jaxrec.gcn import losses, model, negatives
from jaxrec.gcn.batches import Batches, EdgeBatches, ListenerBatches, listens_of
from jaxrec.gcn.graph import Adjacency, BipartiteGraph, build_graph, edge_endpoints
from jaxrec.gcn.message_passing import KERNELS, choose_kernel
from jaxrec.rank.measure import Measure
from jaxrec.report.console import Console
from jaxrec.runs.compilation import keep_compiled
from jaxrec.runs.prepare import prepare_split


@dataclasses.dataclass(frozen=True)
class Recipe:
    """All that a variant may change; the defaults are a configuration's, or off.

    Attributes:
      loss: softmax, ccl, slatk, adap_tau (on listeners), or bpr (on edges).
      hard: bpr: how a negative is picked among the candidates: "", dns or mixgcf.
      in_batch: whether shared negatives are songs of the batch's own listens.
      masked: whether listened songs are left out of the shared negatives.
      log_q: whether a negative counts inversely to how likely it was drawn.
      margin: ccl: cosines of negatives below it cost nothing.
      spread: adap_tau: the loss by which a listener's temperature changes e-fold, roughly.
      top: slatk: K.
      weight_temperature: slatk: of the sigmoid that weighs listens by their place.
      layer_zero: weight of layer 0, the rest shared by the others; -1 is the mean of all.
      learned_layers: whether the layers' weights are learned (a softmax).
      receiver, sender: exponents of the degrees in the normalisation.
      unit_layers: whether each layer's input is scaled to length 1.
      dropout: share of edges left out of each step's graph.
      contrast: weight of the contrast between the final layer and the first, with noise.
      spectral: standard deviation of an initial value made of singular vectors; 0 is random.
      listener_exponent: a listener's listens weigh (number of them)^-exponent in the loss.
    """

    loss: str
    batch_size: int
    lr: float
    stddev: float
    layers: int
    dim: int
    num_negatives: int
    alpha: float
    l2: float
    temperature: float
    negative_weight: float
    hard: str = ""
    in_batch: bool = False
    masked: bool = True
    log_q: bool = False
    margin: float = 0.0
    spread: float = 1.0
    top: int = 20
    weight_temperature: float = 0.2
    layer_zero: float = -1.0
    learned_layers: bool = False
    receiver: float = 0.5
    sender: float = 0.5
    unit_layers: bool = False
    dropout: float = 0.0
    contrast: float = 0.0
    spectral: float = 0.0
    listener_exponent: float = 0.0


BPR = {"loss": "bpr", "batch_size": 2048, "num_negatives": 1, "alpha": 0.0, "stddev": 0.1}
# Name -> what it changes, and who proposed it.
VARIANTS: dict[str, tuple[dict[str, Any], str]] = {
    "the recipe": ({}, ""),
    "BSL, weight .84": ({"negative_weight": 0.84}, "arXiv:2312.12882"),
    "temperature .08": ({"temperature": 0.08}, ""),
    "temperature .12": ({"temperature": 0.12}, ""),
    "uniform negatives": ({"alpha": 0.0}, ""),
    "popularity^0.5": ({"alpha": 0.5}, "arXiv:1310.4546"),
    "popularity^1.3": ({"alpha": 1.3}, ""),
    "in-batch negatives": ({"in_batch": True}, "arXiv:2201.02327"),
    "in-batch, logQ-corrected": ({"in_batch": True, "log_q": True}, "doi:10.1145/3298689.3346996"),
    "listened songs not left out": ({"masked": False}, ""),
    "SimpleX CCL, margin .4": (
        {"loss": "ccl", "margin": 0.4, "negative_weight": 150.0, "alpha": 0.0},
        "arXiv:2109.12613",
    ),
    "SimpleX CCL, margin .8": (
        {"loss": "ccl", "margin": 0.8, "negative_weight": 300.0, "alpha": 0.0},
        "arXiv:2109.12613",
    ),
    "SL@20": ({"loss": "slatk"}, "arXiv:2508.05673"),
    "Adap-tau": ({"loss": "adap_tau"}, "arXiv:2302.04775"),
    "listeners weigh alike": ({"listener_exponent": 1.0}, ""),
    "listeners weigh by root": ({"listener_exponent": 0.5}, ""),
    "0 layers": ({"layers": 0}, "matrix factorisation"),
    "2 layers": ({"layers": 2}, ""),
    "3 layers": ({"layers": 3}, ""),
    "layer 0 weighs .3": ({"layer_zero": 0.3}, "arXiv:2409.17574"),
    "layer 0 weighs .7": ({"layer_zero": 0.7}, "arXiv:2409.17574"),
    "learned layer weights, 2 layers": ({"layers": 2, "learned_layers": True}, "arXiv:2002.02126"),
    "LightGCN, 1 layer": (
        {"receiver": 0.5, "sender": 0.5, "unit_layers": False, "layer_zero": -1.0, "layers": 1},
        "arXiv:2002.02126",
    ),
    "LightGCN++": (
        {"receiver": 0.6, "sender": -0.1, "unit_layers": True, "layer_zero": 0.2, "layers": 2},
        "doi:10.1145/3640457.3688176",
    ),
    "edge dropout .2": ({"dropout": 0.2}, "arXiv:2010.10783"),
    "XSimGCL, 2 layers": ({"layers": 2, "contrast": 0.2}, "arXiv:2209.02544"),
    "SVD start": ({"spectral": 0.01}, ""),
    "BPR": (BPR, "arXiv:1205.2618"),
    "BPR, DNS of 16": ({**BPR, "hard": "dns", "num_negatives": 16}, "doi:10.1145/2484028.2484126"),
    "BPR, MixGCF of 16": (
        {**BPR, "hard": "mixgcf", "num_negatives": 16},
        "doi:10.1145/3447548.3467408",
    ),
}


@functools.partial(jax.custom_vjp, nondiff_argnums=(3,))
def _product(forward: Adjacency, backward: Adjacency, x: jax.Array, kernel: str) -> jax.Array:
    """A matrix times x; `backward` is its transpose, which the derivative multiplies with."""
    return KERNELS[kernel](forward, x, "float32")


def _product_forward(
    forward: Adjacency, backward: Adjacency, x: jax.Array, kernel: str
) -> tuple[jax.Array, Adjacency]:
    return _product(forward, backward, x, kernel), backward


def _product_backward(kernel: str, backward: Adjacency, cotangent: jax.Array) -> tuple[Any, ...]:
    return None, None, KERNELS[kernel](backward, cotangent, "float32")


_product.defvjp(_product_forward, _product_backward)

Params = dict[str, jax.Array]


class Variant:
    """One recipe on one training part: its parameters, its loss, its final embeddings."""

    def __init__(self, recipe: Recipe, train: Interactions) -> None:
        """Builds the graph, its transposed matrices and the batches."""
        self.recipe = recipe
        self.num_users, self.num_items = train.num_users, train.num_items
        self.kernel = choose_kernel("auto", jax.default_backend())
        self.graph: BipartiteGraph = build_graph(
            train.user,
            train.item,
            np.ones(len(train)),
            num_users=train.num_users,
            num_items=train.num_items,
        )
        listens = np.maximum(np.bincount(train.user, minlength=train.num_users), 1.0)
        self.listeners = np.maximum(np.bincount(train.item, minlength=train.num_items), 1.0)
        self.by_item = np.argsort(train.item, kind="stable")
        self.train = train
        # Weights of R as users receive and as songs receive, in (user, item) order.
        user_degree, item_degree = listens[train.user], self.listeners[train.item]
        self.weights = [
            jnp.asarray(receiver**-recipe.receiver * sender**-recipe.sender, jnp.float32)
            for receiver, sender in ((user_degree, item_degree), (item_degree, user_degree))
        ]
        self.batches: Batches = EdgeBatches(len(train), recipe.batch_size)
        self.max_edges = 0
        if recipe.loss != "bpr":
            self.batches = ListenerBatches.of(self.graph.to_users, batch_size=recipe.batch_size)
            self.max_edges = self.batches.max_edges
        self.mass = (
            negatives.popularity_mass(
                self.graph.to_users, num_items=train.num_items, alpha=recipe.alpha
            )
            if recipe.alpha
            else None
        )

    def init(self, key: jax.Array) -> Params:
        """Layer 0, and the layers' weights where they are learned."""
        recipe = self.recipe
        embeddings = model.init_params(
            key,
            num_users=self.num_users,
            num_items=self.num_items,
            dim=recipe.dim,
            stddev=recipe.stddev,
        )
        params = {"user": embeddings.user, "item": embeddings.item}
        if recipe.spectral:
            values = np.asarray(self.graph.to_users.weights, np.float64)
            matrix = scipy.sparse.csr_matrix(
                (values, (self.train.user, self.train.item)), (self.num_users, self.num_items)
            )
            start = np.random.default_rng(0).normal(size=min(matrix.shape))
            left, singular, right = scipy.sparse.linalg.svds(matrix, k=recipe.dim, v0=start)
            for name, vectors in (("user", left), ("item", right.T)):
                scaled = vectors * np.sqrt(singular)
                params[name] = jnp.asarray(scaled / scaled.std() * recipe.spectral, jnp.float32)
        if recipe.learned_layers:
            params["layers"] = jnp.zeros(recipe.layers + 1)
        return params

    def final(self, params: Params, key: jax.Array | None) -> tuple[list[jax.Array], ...]:
        """Users' and songs' embeddings and their first layers'; with a key, perturbed to train."""
        recipe, graph = self.recipe, self.graph
        weights = list(self.weights)
        if key is not None and recipe.dropout:
            kept = jax.random.bernoulli(key, 1 - recipe.dropout, weights[0].shape)
            weights = [each * kept / (1 - recipe.dropout) for each in weights]
        by_item = jnp.asarray(self.by_item)
        users_receive = graph.to_users.replace(weights=weights[0])
        users_receive_transposed = graph.to_items.replace(weights=weights[0][by_item])
        items_receive = graph.to_items.replace(weights=weights[1][by_item])
        items_receive_transposed = graph.to_users.replace(weights=weights[1])
        user, item = params["user"], params["item"]
        layers = [(user, item)]
        for layer in range(recipe.layers):
            if recipe.unit_layers:
                user, item = model.unit(user), model.unit(item)
            user, item = (
                _product(users_receive, users_receive_transposed, item, self.kernel),
                _product(items_receive, items_receive_transposed, user, self.kernel),
            )
            if key is not None and recipe.contrast:
                user, item = (
                    x + 0.2 * jnp.sign(x) * model.unit(jax.random.uniform(noise, x.shape))
                    for x, noise in zip(
                        (user, item), jax.random.split(jax.random.fold_in(key, layer)), strict=True
                    )
                )
            layers.append((user, item))
        count = len(layers)
        if recipe.learned_layers:
            shares = list(jax.nn.softmax(params["layers"]))
        elif recipe.layer_zero < 0 or count == 1:
            shares = [1 / count] * count
        else:
            shares = [recipe.layer_zero] + [(1 - recipe.layer_zero) / (count - 1)] * (count - 1)
        final = [
            functools.reduce(jnp.add, [w * x[side] for w, x in zip(shares, layers, strict=True)])
            for side in (0, 1)
        ]
        return final, list(layers[min(1, recipe.layers)])

    def loss(self, params: Params, batch: jax.Array, key: jax.Array) -> jax.Array:
        """The recipe's loss over a batch."""
        return (self._on_edges if self.recipe.loss == "bpr" else self._on_listeners)(
            params, batch, key
        )

    def _on_edges(self, params: Params, edges: jax.Array, key: jax.Array) -> jax.Array:
        recipe, graph = self.recipe, self.graph
        users, items = edge_endpoints(graph, jnp.maximum(edges, 0))
        others, has_negative = negatives.sample_negatives(
            key,
            graph.to_users,
            users,
            num_items=self.num_items,
            num_negatives=recipe.num_negatives,
            mass=self.mass,
        )
        (user, item), _ = self.final(params, key)
        rows, positive, candidates = user[users], item[items], item[others]
        if recipe.hard:
            if recipe.hard == "mixgcf":
                share = jax.random.uniform(jax.random.fold_in(key, 1), others.shape)[..., None]
                candidates = share * positive[:, None] + (1 - share) * candidates
            hardest = jnp.argmax(model.scores(rows[:, None], candidates), axis=1)
            candidates = jnp.take_along_axis(candidates, hardest[:, None, None], axis=1)
            others = jnp.take_along_axis(others, hardest[:, None], axis=1)
        row_weights = ((edges >= 0) & has_negative).astype(jnp.float32)
        ranking = losses.bpr(
            model.scores(rows, positive),
            model.scores(rows[:, None], candidates),
            row_weights=row_weights,
        )
        layer_zero = (params["user"][users], params["item"][items], params["item"][others])
        return ranking + recipe.l2 * losses.l2(*layer_zero, row_weights=row_weights)

    def _on_listeners(self, params: Params, users: jax.Array, key: jax.Array) -> jax.Array:
        recipe = self.recipe
        items, row, _, is_edge = listens_of(self.graph.to_users, users, max_edges=self.max_edges)
        count = recipe.num_negatives
        if recipe.in_batch:
            edges = negatives.uniform_below(key, jnp.maximum(is_edge.sum(), 1), (count,))
            others = items[edges]
        else:
            others = negatives.shared_negatives(
                key, num_items=self.num_items, num_negatives=count, mass=self.mass
            )
        place, drawn = negatives.count_once(others, num_items=self.num_items)
        log_weights = jnp.where(drawn > 0, jnp.log(jnp.maximum(drawn, 1) / count), -jnp.inf)
        if recipe.log_q:
            share = jnp.asarray(self.listeners / self.listeners.sum(), jnp.float32)
            log_weights -= jnp.log(self.num_items * share[others])
        known = jnp.zeros((len(users), count), bool)
        if recipe.masked:
            listened = jnp.where(is_edge & (place[items] >= 0), place[items], count)
            known = known.at[row, listened].set(True, mode="drop")
        log_weights = jnp.where(known, -jnp.inf, log_weights)
        (user, item), (first_user, first_item) = self.final(params, key)
        rows = model.unit(user[jnp.maximum(users, 0)])
        positive = model.scores(rows[row], model.unit(item[items]))
        negative = rows @ model.unit(item[others]).T

        listens = jnp.zeros(len(users)).at[row].add(is_edge.astype(jnp.float32))
        edge_weights = is_edge * jnp.maximum(listens, 1)[row] ** -recipe.listener_exponent
        # A temperature for each listener's negatives, and one for the positives.
        inverse = jnp.full(len(users), 1 / recipe.temperature)
        positive_inverse = jnp.float32(1 / recipe.temperature)
        if recipe.loss == "adap_tau":
            inverse, positive_inverse = self._adaptive(
                positive, negative, row, is_edge, listens, log_weights
            )
        if recipe.loss == "ccl":
            above = jnp.maximum(negative - recipe.margin, 0.0) * jnp.exp(log_weights)
            cost = recipe.negative_weight * above.sum(axis=1)[row] + 1 - positive
        else:
            log_sum = jax.nn.logsumexp(negative * inverse[:, None] + log_weights, axis=1)
            cost = recipe.negative_weight * log_sum[row] - positive * positive_inverse
        if recipe.loss == "slatk":
            edge_weights *= self._near_the_top(positive, negative, row, is_edge, listens)
        total = losses.weighted_mean(cost, edge_weights)
        if recipe.l2:
            total += recipe.l2 * losses.l2(
                params["user"][jnp.maximum(users, 0)][row],
                params["item"][items],
                row_weights=is_edge.astype(jnp.float32),
            )
        if recipe.contrast:
            some = items[:: max(1, len(items) // 1024)]
            pairs = ((user, first_user, jnp.maximum(users, 0)), (item, first_item, some))
            for final, first, nodes in pairs:
                logits = model.unit(final[nodes]) @ model.unit(first[nodes]).T / 0.2
                own = jnp.diagonal(logits) - jax.nn.logsumexp(logits, axis=1)
                total -= recipe.contrast * own.mean()
        return total

    def _adaptive(
        self,
        positive: jax.Array,
        negative: jax.Array,
        row: jax.Array,
        is_edge: jax.Array,
        listens: jax.Array,
        log_weights: jax.Array,
    ) -> tuple[jax.Array, jax.Array]:
        """Inverse temperatures of Adap-tau, from the batch itself instead of the epoch before."""
        positive, negative = jax.lax.stop_gradient((positive, negative))
        mean_positive = losses.weighted_mean(positive, is_edge.astype(jnp.float32))
        everything = math.log(0.5 * self.num_users * self.num_items / len(self.train))
        common = everything / jnp.maximum(mean_positive - negative.mean(), 0.1)
        own = jnp.zeros_like(listens).at[row].add(jnp.where(is_edge, positive, 0.0))
        loss = jax.nn.logsumexp(negative + log_weights, axis=1) - own / jnp.maximum(listens, 1)
        scaled = (loss - loss.mean()) / self.recipe.spread
        return common * jnp.exp(-_lambert_w(jnp.maximum(scaled, -math.exp(-1)))), common

    def _near_the_top(
        self,
        positive: jax.Array,
        negative: jax.Array,
        row: jax.Array,
        is_edge: jax.Array,
        listens: jax.Array,
    ) -> jax.Array:
        """SL@K's weight of each listen: how far above the listener's K-th best score it is."""
        positive, negative = jax.lax.stop_gradient((positive, negative))
        kept, top = 64, self.recipe.top
        first = jnp.cumsum(listens).astype(jnp.int32) - listens.astype(jnp.int32)
        place = jnp.arange(len(row)) - first[row]
        own = jnp.full((len(listens), kept), -jnp.inf)
        own = own.at[row, jnp.where(is_edge, place, kept)].set(positive, mode="drop")
        best = jnp.concatenate([own, jax.lax.top_k(negative, top)[0]], axis=1)
        threshold = jax.lax.top_k(best, top)[0][:, -1]
        return jax.nn.sigmoid((positive - threshold[row]) / self.recipe.weight_temperature)


def _lambert_w(x: jax.Array) -> jax.Array:
    """The principal branch of w e^w = x for x >= -1/e, by Halley's rule."""
    w = jnp.where(x > 1, jnp.log(jnp.maximum(x, 1e-6)), jnp.sqrt(2 * (1 + math.e * x)) - 1)
    w = jnp.maximum(w, -0.999)
    for _ in range(12):
        grown = jnp.exp(w)
        off = w * grown - x
        w -= off / (grown * (w + 1) - (w + 2) * off / (2 * w + 2))
        w = jnp.maximum(w, -0.999)
    return w


def train_variant(
    recipe: Recipe, measure: Measure, *, epochs: int, every: int, seed: int, description: str
) -> dict[str, Any]:
    """Trains a recipe and measures the validation part.

    Returns:
      The metrics of the best of the measured epochs, that epoch, and seconds per epoch.
    """
    variant = Variant(recipe, measure.split.train)
    optimizer = optax.adam(recipe.lr)

    @functools.partial(jax.jit, donate_argnums=0)
    def run(state: Any, order: jax.Array, key: jax.Array) -> Any:
        def step(state: Any, batch: tuple[jax.Array, jax.Array]) -> tuple[Any, jax.Array]:
            params, memory = state
            loss, gradient = jax.value_and_grad(variant.loss)(params, *batch)
            updates, memory = optimizer.update(gradient, memory, params)
            return (optax.apply_updates(params, updates), memory), loss

        return jax.lax.scan(step, state, (order, jax.random.split(key, len(order))))

    final = jax.jit(lambda params: variant.final(params, None)[0])
    key = jax.random.key(seed)
    params = variant.init(key)
    state = (params, optimizer.init(params))
    best: dict[str, Any] = {}
    metric, seconds = measure.config.eval.metric, []
    for epoch in range(1, epochs + 1):
        epoch_key = jax.random.fold_in(key, epoch)
        start = time.perf_counter()
        state, batch_losses = run(state, variant.batches.order(epoch_key), epoch_key)
        mean = float(np.asarray(batch_losses).mean())
        seconds.append(time.perf_counter() - start)
        if not math.isfinite(mean):
            return {"metrics": {}, "epoch": epoch, "seconds": float(np.median(seconds))}
        if epoch % every and epoch < epochs:
            continue
        embeddings = model.Embeddings(*final(state[0]))
        figures = measure.of_all("validation", embeddings, measure.config.eval.ks).means()
        print(f"{description}: epoch {epoch}, loss {mean:.4f}, {metric} {figures[metric]:.4f}")
        if not best or figures[metric] > best["metrics"][metric]:
            best = {"metrics": figures, "epoch": epoch}
    return best | {"seconds": float(np.median(seconds))}


def recipe_of(config: RunConfig) -> Recipe:
    """What a configuration says of a recipe."""
    return Recipe(
        loss=config.loss.name,
        batch_size=config.batch_size,
        lr=config.lr,
        stddev=config.model.init_stddev,
        layers=config.model.layers,
        dim=config.model.dim,
        num_negatives=config.loss.negatives,
        alpha=config.loss.popularity_alpha if config.loss.sampler == "popularity" else 0.0,
        l2=config.loss.l2,
        temperature=config.loss.temperature,
        negative_weight=config.loss.negative_weight,
        layer_zero=-1.0 if config.model.layer_zero is None else config.model.layer_zero,
        receiver=config.model.receiver_exponent,
        sender=config.model.sender_exponent,
        unit_layers=config.model.unit_layers,
    )


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
    spec = importlib.util.spec_from_file_location("config", options.config)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    values = module.get_config()
    values.data.path = options.data
    values.data.validation_fraction = values.data.validation_fraction or 0.1
    config = read_config(values.to_dict())
    measure = Measure(config, prepare_split(config, Console(quiet=True)))
    base, rows = recipe_of(config), []
    options.out.parent.mkdir(parents=True, exist_ok=True)
    for name in names:
        changes, source = VARIANTS[name]
        found = train_variant(
            dataclasses.replace(base, **changes),
            measure,
            epochs=options.epochs,
            every=options.every,
            seed=options.seed,
            description=name,
        )
        figures = [
            f"{found['metrics'][each]:.4f}" if found["metrics"] else "diverged"
            for k in config.eval.ks[-1:]
            for each in (f"recall@{k}", f"ndcg@{k}")
        ]
        rows.append([name, *figures, str(found["epoch"]), f"{found['seconds']:.1f} s", source])
        k = config.eval.ks[-1]
        table = markdown_table(
            ["variant", f"Recall@{k}", f"NDCG@{k}", "best epoch", "an epoch", "source"], rows
        )
        options.out.write_text(f"{options.config}, validation; {machine()}\n\n{table}")
    print(table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
