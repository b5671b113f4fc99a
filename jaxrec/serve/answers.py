"""The service's answers: from a request's ids to a scorer's indices and back to ids and names."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from jaxrec.serve.history import UNKNOWN, History
from jaxrec.serve.requests import (
    BatchRequest,
    ExplainRequest,
    MatchRequest,
    RecommendRequest,
    SimilarRequest,
    Who,
)
from jaxrec.serve.scorer import Scorer

Answer = dict[str, Any]


class Refused(Exception):
    """What can't be answered, and by which field."""

    def __init__(self, message: str, field: str) -> None:
        super().__init__(message)
        self.field = field


class NotFound(Refused):
    """A listener or a song that the model doesn't know."""


class Unsuitable(Refused):
    """A field that asks for what this model hasn't."""


def search(scorer: Scorer, text: str, limit: int) -> Answer:
    """The songs whose title or artist has every word of a text."""
    found = scorer.names.search(text, limit=limit, among=scorer.is_listed)
    counts = scorer.item_users[found].tolist()
    return {
        "songs": [
            {**song, "listeners": count}
            for song, count in zip(songs_of(scorer, found), counts, strict=True)
        ]
    }


def recommend(scorer: Scorer, asked: RecommendRequest) -> Answer:
    """A list with its reasons.

    Raises:
      NotFound: an unknown listener, or a history of which nothing is known.
      Unsuitable: a limit per artist, and no song has one.
    """
    if asked.per_artist is not None and not scorer.names.any_artist:
        raise Unsuitable(
            "the model knows no artist of any song; expected a list without it", "per_artist"
        )
    history, seen, unknown = _history(scorer, asked)
    hidden = [history.items[:0] if asked.include_listened else seen]
    excluded, others = _known(scorer, asked.exclude)
    hidden.append(excluded)
    unknown += others
    among = None
    if asked.items is not None:
        among, others = _known(scorer, asked.items)
        among = np.unique(among)
        unknown += others
    items, scores = scorer.top(
        history,
        k=asked.k,
        hidden=np.concatenate(hidden),
        among=among,
        per_artist=asked.per_artist,
    )
    known = set(seen.tolist())
    return {
        "songs": [
            {**song, "score": score, "again": item in known, **why}
            for song, item, score, why in zip(
                songs_of(scorer, items),
                items.tolist(),
                scores.tolist(),
                _reasons(scorer, history, items, asked.reasons),
                strict=True,
            )
        ],
        "unknown": list(dict.fromkeys(unknown)),
    }


def recommend_batch(scorer: Scorer, asked: BatchRequest) -> Answer:
    """A list for each request.

    Raises:
      NotFound, Unsuitable: as of `recommend`, naming the request.
    """
    answers = []
    for number, each in enumerate(asked.requests):
        try:
            answers.append(recommend(scorer, each))
        except Refused as error:
            raise type(error)(str(error), f"requests[{number}].{error.field}") from error
    return {"answers": answers}


def explain(scorer: Scorer, asked: ExplainRequest) -> Answer:
    """Why a song has its score, whether it would be listed or not.

    Raises:
      NotFound: an unknown listener or song, or a history of which nothing is known.
    """
    history, _, _ = _history(scorer, asked)
    item = np.array([_song(scorer, asked.song)])
    entries, rest = scorer.contributions(history, item)
    order = np.argsort(-entries[:, 0], kind="stable")
    named = {name: float(part[0]) for name, part in rest.items()}
    return {
        "song": songs_of(scorer, item)[0],
        "score": float(entries[:, 0].sum(dtype=np.float64)) + sum(named.values()),
        "because": [
            {**song, "contribution": each}
            for song, each in zip(
                songs_of(scorer, history.items[order]), entries[order, 0].tolist(), strict=True
            )
        ],
        "rest": named,
    }


def similar(scorer: Scorer, asked: SimilarRequest) -> Answer:
    """Songs like a song.

    Raises:
      NotFound: an unknown song.
    """
    items, similarities = scorer.similar(_song(scorer, asked.song), k=asked.k)
    return {
        "songs": [
            {**song, "similarity": each}
            for song, each in zip(songs_of(scorer, items), similarities.tolist(), strict=True)
        ]
    }


def match(scorer: Scorer, asked: MatchRequest) -> Answer:
    """The songs that rows of an export mean, by id or else by artist and title."""
    ids = ["" if row.id is None else row.id for row in asked.rows]
    found = scorer.items.index_of(ids).astype(np.int64)
    found[[row.id is None for row in asked.rows]] = UNKNOWN
    left = np.flatnonzero((found < 0) & np.array([bool(row.title) for row in asked.rows]))
    rows = [asked.rows[place] for place in left]
    found[left] = scorer.names.match([row.title for row in rows], [row.artist for row in rows])
    known = scorer.are_listed(found)
    matched = np.flatnonzero(known)
    return {
        "matches": [
            {"row": row, **song}
            for row, song in zip(matched.tolist(), songs_of(scorer, found[matched]), strict=True)
        ],
        "unmatched": np.flatnonzero(~known).tolist(),
    }


def songs_of(scorer: Scorer, items: np.ndarray) -> list[Answer]:
    """Songs as every answer names them."""
    ids = [each if _is_exact(each) else str(each) for each in scorer.items.take(items)]
    columns = ids, scorer.names.titles(items), scorer.names.artists(items)
    return [
        {"song": song, "title": title, "artist": artist}
        for song, title, artist in zip(*columns, strict=True)
    ]


def _is_exact(each: int | str) -> bool:
    """Whether an id comes through JSON as it is: readers such as browsers round larger numbers."""
    return isinstance(each, str) or abs(each) < 2**53


def _history(scorer: Scorer, who: Who) -> tuple[History, np.ndarray, list[int | str]]:
    """Whose list is asked for, all that they know, and what of it the model doesn't know."""
    if who.history is None:
        user = int(scorer.users.index_of([who.listener])[0])
        if user < 0 or len(scorer.history_of(user).items) == 0:
            raise NotFound(
                f"the model knows no listener {who.listener!r}; expected one it was trained "
                "with, or a history in place of the listener",
                "listener",
            )
        return scorer.history_of(user), scorer.seen_by(user), []
    songs = [entry.song for entry in who.history]
    index = scorer.items.index_of(songs)
    known = scorer.are_listed(index)
    if not known.any():
        raise NotFound(
            f"the model knows none of the {len(songs):,} songs; expected some that /search finds",
            "history",
        )
    plays = np.array([entry.plays for entry in who.history])
    times = np.array([np.nan if entry.time is None else entry.time for entry in who.history])
    history = scorer.history(index[known], plays[known], times[known])
    unknown = [song for song, there in zip(songs, known, strict=True) if not there]
    return history, history.items, unknown


def _known(scorer: Scorer, songs: Sequence[int | str]) -> tuple[np.ndarray, list[int | str]]:
    """The indices of those songs that may be listed, and the others' ids."""
    index = scorer.items.index_of(songs)
    known = scorer.are_listed(index)
    return index[known], [song for song, there in zip(songs, known, strict=True) if not there]


def _song(scorer: Scorer, song: int | str) -> int:
    index = scorer.items.index_of([song])
    if not scorer.are_listed(index)[0]:
        raise NotFound(f"the model knows no song {song!r}; expected one that /search finds", "song")
    return int(index[0])


def _reasons(
    scorer: Scorer, history: History, items: np.ndarray, count: int
) -> Iterable[dict[str, Any]]:
    """Of each item the songs that bring most to its score, and what none of them brings."""
    entries, rest = scorer.contributions(history, items)
    rests = (np.sum(list(rest.values()), axis=0) if rest else np.zeros(len(items))).tolist()
    best = np.argsort(-entries, axis=0, kind="stable")[:count]
    values = np.take_along_axis(entries, best, axis=0).T.tolist()
    named = songs_of(scorer, history.items)
    for places, contributions, rest_of_it in zip(best.T.tolist(), values, rests, strict=True):
        yield {
            "because": [
                {**named[place], "contribution": each}
                for place, each in zip(places, contributions, strict=True)
                if each > 0
            ],
            "rest": rest_of_it,
        }
