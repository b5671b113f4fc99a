"""What a person sees of a measured run: the table of results, and a sample of lists."""

import numpy as np

from jaxrec.models.model import Model
from jaxrec.rank.evaluate import choose_users
from jaxrec.rank.measure import Measure, all_seen
from jaxrec.rank.top_k import Seen, top_k
from jaxrec.report.console import Console
from jaxrec.runs.results import Results
from jaxrec.runs.trained import known_items

# Published figures of histories with many songs stay far below this share of what is held out.
TOO_GOOD = ("recall@10", 0.9)
LISTENERS = 3
SONGS = 5


def show_results(results: Results, console: Console) -> None:
    """The final table: each metric with its 95% bootstrap interval over users."""
    metrics = results.metrics
    figures: dict[str, dict[str, tuple[float, ...]]] = {
        name.replace("_", " "): {
            metric: (figure["mean"], figure["low"], figure["high"])
            for metric, figure in column.items()
        }
        | {metric: (value,) for metric, value in results.beyond_accuracy[name].items()}
        for name, column in metrics.items()
    }
    figures["ratio"] = {
        metric: (figure["mean"] / metrics["most_popular"][metric]["mean"],)
        for metric, figure in metrics["model"].items()
        if metrics["most_popular"][metric]["mean"] > 0
    }
    of = ""
    if results.seeds:
        of = f", seeds {', '.join(map(str, results.seeds))}"
        figures["deviation"] = {
            metric: (figure["deviation"],)
            for metric, figure in metrics["model"].items()
            if figure["deviation"] is not None
        }
    elif results.step is not None:
        of = f", step {results.step:,}"
    console.results(
        f"Results on {results.part}, {results.users:,} users{of} (mean and 95% interval)", figures
    )
    metric, limit = TOO_GOOD
    found = metrics["model"].get(metric)
    if results.part != "reconstruction" and found is not None and found["mean"] > limit:
        console.warning(
            f"{metric} is {found['mean']:.3f} on what was held out, which is too good for most "
            "histories: look whether listeners and songs were read right (the first lines above), "
            "whether there are more than some dozen songs, and whether a column tells of the future"
        )


def show_sample(measure: Measure, model: Model, console: Console) -> None:
    """Shows three listeners with their most-played songs and the top of their lists."""
    train = measure.split.train
    users = choose_users(train, count=LISTENERS, seed=measure.seed)
    items, _ = top_k(
        model,
        measure.histories.take(users),
        k=SONGS,
        seen=Seen.of_users(all_seen(measure.split), users),
        candidates=known_items(measure.split),
        memory_budget_mb=measure.settings.memory_budget_mb,
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
