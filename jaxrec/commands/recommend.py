"""`recommend`: lists for listeners, those of training and those who came after."""

import dataclasses
import itertools
from pathlib import Path
from typing import Any

import numpy as np

from jaxrec.api.recommender import recommender_of
from jaxrec.commands.listable import Lists, check_artists, check_some_left, excluded, listable
from jaxrec.commands.who import Whose, find_who, without_history
from jaxrec.hosts import together
from jaxrec.models import popularity
from jaxrec.rank.lists import check_ending, write_lists
from jaxrec.report.console import Console, in_words
from jaxrec.runs.compilation import CompileClock
from jaxrec.runs.trained import open_for_use


def recommend(
    workdir: Path,
    *,
    output: Path | None = None,
    whose: Whose | None = None,
    lists: Lists | None = None,
    step: int | None = None,
) -> None:
    """Writes the top songs of all users, or of some; the training data need not be there.

    Args:
      workdir: the run's folder.
      output: a .parquet or .csv file; None for recommendations.parquet in the run's folder.
      whose: who is asked for; None for all users.
      lists: what is listed; None for the ten best songs that are new to the user.
      step: which checkpoint, None for the one that `train` reported on.

    Raises:
      UserError: no run there, nobody that is known, a file that can't be read, no song that may be
        listed, or an output that can't be written.
    """
    whose, lists = whose or Whose(), lists or Lists()
    path = workdir / "recommendations.parquet" if output is None else output
    check_ending(path)
    trained = open_for_use(workdir, step)
    model = recommender_of(trained)
    console = Console(quiet=model.config.quiet)
    check_artists(model, lists.per_artist)
    model, who = find_who(model, whose, lists.seen, console, trained)
    candidates = listable(model, lists.items_file, console)
    names = [*who.asked.names.tolist(), *who.cold.tolist()]
    hidden = excluded(model, lists.exclude_file, names, console)
    candidates[hidden.items] = False
    asked = hidden.of(who.asked)
    unheard = hidden.of(without_history(model, who.cold))
    if lists.exclude_file is not None:
        check_some_left((asked, unheard), candidates, lists.items_file, lists.exclude_file)
    if asked.names.dtype != unheard.names.dtype and len(unheard):  # numbers, and text
        asked = dataclasses.replace(asked, names=asked.names.astype(str).astype(object))

    count = len(asked) + len(unheard)
    options: dict[str, Any] = {
        "k": lists.k,
        "because": lists.because,
        "per_artist": lists.per_artist,
    }
    tables = model.lists(asked, candidates=candidates, **options)
    if len(unheard):  # last
        by_all = dataclasses.replace(model, model=popularity.of(model.split.train))
        popular = by_all.lists(unheard, candidates=candidates, **options)
        tables = itertools.chain(tables, popular) if len(asked) else popular
    with CompileClock() as clock, console.progress(count, "recommending", unit="users") as bar:
        # Ranking is shared among the devices of a process, and not among processes.
        rows = together.by_first(
            "lists", lambda: write_lists(tables, path, lambda users: bar.update(users))
        )
    if rows is None:
        return
    console.note(f"wrote {rows:,} recommendations for {count:,} users to {path}")
    if count == whose.sample:
        everybody = len(np.unique(model.split.train.user))
        whole = in_words(clock.rest * everybody / count)
        console.note(f"lists for all {everybody:,} users would take {whole} here")
