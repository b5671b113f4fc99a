"""implicit: BPR matrix factorisation as the reference without a graph, and its ranking."""

import time
from pathlib import Path
from typing import Any

import numpy as np
from implicit.cpu.als import AlternatingLeastSquares
from implicit.cpu.bpr import BayesianPersonalizedRanking
from implicit.evaluation import ranking_metrics_at_k
from scipy.sparse import csr_matrix

from benchmarks.edges import read_edges
from benchmarks.measuring import seconds_from_due

PACKAGES = ["implicit", "numpy", "scipy"]


def train(request: dict[str, Any]) -> dict[str, Any]:
    """Time per epoch of BPR at as many factors as the others have dimensions."""
    edges = read_edges(Path(request["data"]))
    listened = _matrix(edges.user, edges.item, edges)
    ends: list[float] = []
    model = BayesianPersonalizedRanking(
        factors=request["dim"], iterations=request["epochs"] + 1, random_state=0
    )
    model.fit(
        listened,
        show_progress=False,
        callback=lambda *progress: ends.append(time.perf_counter()),
    )
    return {"epoch_s": (ends[-1] - ends[0]) / (len(ends) - 1), "device": "cpu"}


def evaluate(request: dict[str, Any]) -> dict[str, Any]:
    """Time of `ranking_metrics_at_k` on given embeddings; it has NDCG, but not Recall."""
    edges = read_edges(Path(request["data"]))
    folder = Path(request["work"])
    model = AlternatingLeastSquares(factors=request["dim"])
    model.user_factors = np.load(folder / "user_embeddings.npy", allow_pickle=False)
    model.item_factors = np.load(folder / "item_embeddings.npy", allow_pickle=False)
    chosen = edges.test_user < (request["users"] or edges.num_users)
    train_part = _matrix(edges.user, edges.item, edges)
    test_part = _matrix(edges.test_user[chosen], edges.test_item[chosen], edges)
    start = time.perf_counter()
    result = ranking_metrics_at_k(
        model, train_part, test_part, K=request["k"], show_progress=False, num_threads=0
    )
    return {
        "seconds": time.perf_counter() - start,
        "users": len(np.unique(edges.test_user[chosen])),
        "ndcg": float(result["ndcg"]),
        "device": "cpu",
    }


def lists(request: dict[str, Any]) -> dict[str, Any]:
    """Time of users' lists by given embeddings, each from when it was due, at a fixed rate."""
    folder = Path(request["work"])
    arrays = {
        name: np.load(folder / f"{name}.npy", allow_pickle=False)
        for name in ("user", "item", "offsets", "items")
    }
    model = AlternatingLeastSquares(factors=arrays["item"].shape[1], num_threads=1)
    model.user_factors, model.item_factors = arrays["user"], arrays["item"]
    shape = len(arrays["user"]), len(arrays["item"])
    ones = np.ones(len(arrays["items"]), np.float32)
    seen = csr_matrix((ones, arrays["items"], arrays["offsets"]), shape=shape)
    users, found = request["users"], {}

    def ask(number: int) -> None:
        user = users[number % len(users)]
        items, _ = model.recommend(user, seen[user], N=request["k"])
        found[user] = items.tolist()

    seconds_from_due(ask, len(users), request["rate"])  # warms it up
    seconds = seconds_from_due(ask, request["count"], request["rate"])
    return {"seconds": seconds, "lists": [found[user] for user in users]}


def _matrix(user: np.ndarray, item: np.ndarray, edges: Any) -> csr_matrix:
    ones = np.ones(len(user), np.float32)
    return csr_matrix((ones, (user, item)), shape=(edges.num_users, edges.num_items))
