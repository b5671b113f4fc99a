"""The sample at the end of training: some listeners, what they heard and what they might like."""

import numpy as np

from jaxrec.commands.measure import tables_or_scorer
from jaxrec.commands.recommend import all_listened
from jaxrec.commands.trained import known_items
from jaxrec.config import RunConfig
from jaxrec.data.splits import Split
from jaxrec.gcn.model import Embeddings
from jaxrec.rank.evaluate import choose_users
from jaxrec.rank.top_k import Scorer, Seen, top_k
from jaxrec.report.console import Console

LISTENERS = 3
SONGS = 5


def show_sample(
    split: Split, model: Embeddings | Scorer, config: RunConfig, console: Console
) -> None:
    """Shows three listeners with their most-played songs and the top of their lists."""
    train = split.train
    users = choose_users(train, count=LISTENERS, seed=config.seed)
    items, _ = top_k(
        tables_or_scorer(model),
        users,
        k=SONGS,
        seen=Seen.from_interactions(all_listened(split)),
        candidates=known_items(split),
        memory_budget_mb=config.eval.memory_budget_mb,
    )
    offsets = train.user_offsets()
    for user, listed in zip(users, items, strict=True):
        rows = slice(offsets[user], offsets[user + 1])
        most_played = np.argsort(-train.plays[rows], kind="stable")[:SONGS]
        console.sample(
            str(train.users.ids[user]),
            [train.items.label(item) for item in train.item[rows][most_played]],
            [train.items.label(item) for item in listed[listed >= 0]],
        )
