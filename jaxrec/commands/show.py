"""What a person sees of a measured run: the table of results, and a sample of lists."""

import numpy as np

from jaxrec.data.options import SeenRule
from jaxrec.models.model import Model
from jaxrec.rank.evaluate import choose_users
from jaxrec.rank.measure import Measure, seen_by_rule
from jaxrec.rank.seen import Seen
from jaxrec.rank.top_k import top_k
from jaxrec.report.console import Console, in_words
from jaxrec.runs.results import Results
from jaxrec.runs.trained import known_items

# Published figures of histories with many songs stay far below this share of what is held out.
TOO_GOOD = ("recall@10", 0.9)
LISTENERS = 3
SEEN_WORDS = {
    "include": "all",
    "exclude": "discovery",
    "only": "again",
    "new": "listeners who came since",
}
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
    if results.views:
        of += f", {SEEN_WORDS[results.seen]}"
    console.results(
        f"Results on {results.part}, {results.users:,} users{of} (mean and 95% interval)", figures
    )
    drawn = [each for each in (results, *results.views.values()) if each.drawn_from is not None]
    if drawn:
        most = max(drawn, key=lambda each: each.drawn_from or 0)
        time = ""
        if results.seconds is not None:
            time = f"; to measure all of them would take {in_words(results.seconds)} here"
        console.note(f"{most.users:,} of {most.drawn_from:,} users were drawn{time}")
    if results.views:
        _show_views(results, console)
    metric, limit = TOO_GOOD
    found = metrics["model"].get(metric)
    if results.part != "reconstruction" and found is not None and found["mean"] > limit:
        console.warning(
            f"{metric} is {found['mean']:.3f} on what was held out, which is too good for most "
            "histories: look whether listeners and songs were read right (the first lines above), "
            "whether there are more than some dozen songs, and whether a column tells of the future"
        )


def _show_views(results: Results, console: Console) -> None:
    """The model's figures by each view, beside each other."""
    console.results(
        "By what was known before (mean and 95% interval)",
        {
            f"{SEEN_WORDS[seen]}, {view.users:,} users": {
                metric: (figure["mean"], figure["low"], figure["high"])
                for metric, figure in view.metrics["model"].items()
            }
            for seen, view in results.views.items()
        },
    )


def show_sample(measure: Measure, model: Model, console: Console) -> None:
    """Shows three listeners with their most-played songs and the top of their lists.

    Beside what is new for them, what they may like again where the history has such listens.
    """
    split, train = measure.split, measure.split.train
    users = choose_users(train, count=LISTENERS, seed=measure.seed)
    rules: list[SeenRule] = ["exclude"]
    if measure.has_again(measure.final_part):
        rules.append("only")
    lists = {}
    for rule in rules:
        known = seen_by_rule(split, rule)
        assert known is not None
        lists[rule], _ = top_k(
            model,
            measure.histories.take(users),
            k=SONGS,
            seen=Seen.of_users(known, users, only=rule == "only"),
            candidates=known_items(split),
            memory_budget_mb=measure.settings.memory_budget_mb,
        )
    offsets = train.user_offsets()
    for place, user in enumerate(users):
        rows = slice(offsets[user], offsets[user + 1])
        most_played = np.argsort(-train.plays[rows], kind="stable")[:SONGS]
        listed = [found[place][found[place] >= 0] for found in lists.values()]
        console.sample(
            str(train.users.ids[user]),
            [train.items.label(item) for item in train.item[rows][most_played]],
            *([train.items.label(item) for item in items] for items in listed),
        )
