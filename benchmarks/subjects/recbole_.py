"""RecBole's LightGCN by its own dataset, loaders, trainer and evaluator."""

import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from recbole.config import Config
from recbole.data import create_dataset, data_preparation
from recbole.model.general_recommender import LightGCN
from recbole.trainer import Trainer
from recbole.utils import init_seed

from benchmarks.measuring import TimedBatches
from benchmarks.subjects import torch_device

PACKAGES = ["recbole", "torch", "numpy", "scipy", "pandas"]
NAME = "edges"  # of the dataset: a folder and the beginning of its files' names


def train(request: dict[str, Any]) -> dict[str, Any]:
    """Time per step of the trainer's epoch, sampling included."""
    start = time.perf_counter()
    config, dataset, loader, _ = _prepare(request)
    trainer = Trainer(config, LightGCN(config, dataset).to(config["device"]))
    prepared = time.perf_counter() - start
    batches = TimedBatches(loader, request["warmup"] + request["steps"])
    trainer._train_epoch(batches, 0)
    step, epoch_start, count = (
        batches.seconds_per_step(request["warmup"]),
        batches.epoch_start(),
        len(loader),
    )
    return {
        "step_s": step + epoch_start / count,
        "epoch_s": step * count + epoch_start,
        "epoch_start_s": epoch_start,
        "prepare_s": prepared,
        "threads": torch.get_num_threads(),
        **torch_device.used(config["device"]),
    }


def evaluate(request: dict[str, Any]) -> dict[str, Any]:
    """Time of the trainer's full-sort evaluation on given embeddings."""
    config, dataset, _, loader = _prepare(request)
    model = LightGCN(config, dataset).to(config["device"])
    trainer = Trainer(config, model)
    # What the model keeps between the batches of an evaluation, in RecBole's numbering.
    model.restore_user_e = _table(request, "user_embeddings", dataset, config["USER_ID_FIELD"])
    model.restore_item_e = _table(request, "item_embeddings", dataset, config["ITEM_ID_FIELD"])
    model.restore_user_e = model.restore_user_e.to(config["device"])
    model.restore_item_e = model.restore_item_e.to(config["device"])
    start = time.perf_counter()
    result = trainer.evaluate(loader, load_best_model=False)
    return {
        "seconds": time.perf_counter() - start,
        "users": loader.sample_size,
        "users_per_batch": loader.step,
        "threads": torch.get_num_threads(),
        **torch_device.used(config["device"]),
        **{name: float(result[f"{name}@{request['k']}"]) for name in ("recall", "ndcg")},
    }


def _prepare(request: dict[str, Any]) -> tuple[Any, Any, Any, Any]:
    """Configuration, dataset, and the loaders of the training and the test part."""
    settings = {
        "data_path": request["work"],
        "checkpoint_dir": str(Path(request["work"]) / "checkpoints"),
        "benchmark_filename": ["train", "valid", "test"],
        "load_col": {"inter": ["user_id", "item_id"]},
        "train_batch_size": request["batch"],
        "embedding_size": request["dim"],
        "n_layers": request["layers"],
        "reg_weight": 1e-4,
        "require_pow": True,
        "learning_rate": 0.001,
        "metrics": ["Recall", "NDCG"],
        "topk": [request["k"]],
        "valid_metric": f"Recall@{request['k']}",
        "metric_decimal_place": 12,
        "show_progress": False,
    }
    if request.get("users_per_batch"):
        # RecBole counts an evaluation batch in scores, so the catalogue's size goes in.
        settings["eval_batch_size"] = request["users_per_batch"] * (request["num_items"] + 1)
    config = Config(model="LightGCN", dataset=NAME, config_dict=settings)
    init_seed(0, reproducibility=True)
    dataset = create_dataset(config)
    train_loader, _, test_loader = data_preparation(config, dataset)
    return config, train_loader._dataset, train_loader, test_loader


def _table(request: dict[str, Any], name: str, dataset: Any, field: str) -> torch.Tensor:
    """Embeddings in the order of RecBole's numbers; its number 0 is padding."""
    rows = np.load(Path(request["work"]) / f"{name}.npy", allow_pickle=False)
    numbers = dataset.field2id_token[field][1:].astype(np.int64)
    return torch.from_numpy(np.concatenate([np.zeros_like(rows[:1]), rows[numbers]]))
