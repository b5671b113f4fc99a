"""The generated history: repeatable, readable, and with taste that a model can learn."""

import hashlib
import re

import numpy as np
import pytest

from jaxrec.data import synthetic
from jaxrec.data.interactions import Interactions, Listens, aggregate
from jaxrec.data.split_rules import Rules
from jaxrec.data.splits import split


@pytest.fixture(scope="module")
def listens() -> Listens:
    return synthetic.generate(0)


@pytest.fixture(scope="module")
def whole(listens) -> Interactions:
    return aggregate(listens)


def digest(listens: Listens) -> str:
    """SHA-256 over everything in a history."""
    hashed = hashlib.sha256()
    for array in (listens.user, listens.item, listens.plays, listens.timestamp):
        hashed.update(array.dtype.str.encode() + array.tobytes())
    for ids in (listens.users.ids, listens.items.ids, listens.items.names):
        hashed.update("\n".join(ids.tolist()).encode())
    return hashed.hexdigest()


def test_same_seed_same_bytes_and_other_seed_other_history(listens):
    small = {"num_users": 40, "num_items": 60}
    assert digest(synthetic.generate(0)) == digest(listens)
    digests = {digest(synthetic.generate(seed, **small)) for seed in (0, 1, 2**40, 0)}
    assert len(digests) == 3


def test_counts(listens, whole):
    assert (len(listens.users), len(listens.items)) == (3000, 4000)
    assert 100_000 < len(listens) < 150_000
    assert 60_000 < len(whole) < 90_000
    assert len(np.unique(listens.user)) == 3000
    assert len(np.unique(listens.item)) > 3900
    assert (listens.plays == 1).all()
    assert whole.plays.max() >= 10  # favourites are heard again and again


def test_types_are_those_of_listens(listens):
    assert (listens.user.dtype, listens.item.dtype) == (np.int32, np.int32)
    assert (listens.plays.dtype, listens.timestamp.dtype) == (np.float64, np.int64)
    for ids in (listens.users.ids, listens.items.ids, listens.items.names):
        assert ids.dtype == object
        assert all(type(value) is str for value in ids.tolist())


def test_ids_are_readable_and_increasing(listens):
    assert listens.users.ids[[0, 2999]].tolist() == ["listener-0001", "listener-3000"]
    assert listens.items.ids[[16, 3999]].tolist() == ["song-00017", "song-04000"]
    many = synthetic.generate(0, num_users=12_000, num_items=5, listens_per_user=1)
    for id_map in (listens.users, listens.items, many.users):
        assert id_map.ids.tolist() == sorted(id_map.ids.tolist())


def test_names_are_readable_and_unique(listens):
    names = listens.items.names.tolist()
    assert len(set(names)) == 4000
    pattern = re.compile(
        r"[A-Z][a-z]+ ([A-Z][a-z]+|in the [A-Z][a-z]+) — The [A-Z][a-z]+ [A-Z][a-z]+"
    )
    assert all(pattern.fullmatch(name) for name in names)
    artists = {name.split(" — ")[1] for name in names}
    assert len(artists) == 400


def test_names_stay_unique_when_the_words_run_out():
    one_artist = synthetic.generate(0, num_users=2, num_items=3000, num_artists=1)
    many_artists = synthetic.generate(0, num_users=2, num_items=2600, num_artists=2600)
    for listens in (one_artist, many_artists):
        assert len(set(listens.items.names.tolist())) == len(listens.items)


def test_times_are_in_order_and_in_two_years(listens):
    times = listens.timestamp
    assert (np.diff(times) >= 0).all()
    assert times[0] >= synthetic.START and times[-1] < synthetic.START + synthetic.DURATION


def test_some_songs_come_out_during_the_history(listens, whole):
    first = np.full(4000, np.iinfo(np.int64).max)
    np.minimum.at(first, listens.item, listens.timestamp)
    heard_often = np.bincount(listens.item, minlength=4000) >= 40
    late = first > synthetic.START + synthetic.DURATION // 4
    assert 0.08 < late[heard_often].mean() < 0.3


def test_popularity_is_like_a_power_law(whole):
    degree = np.sort(np.bincount(whole.item, minlength=4000))[::-1]
    assert degree[:400].sum() > 0.35 * degree.sum()  # a tenth of the songs
    assert degree[0] > 8 * np.median(degree)
    # Nearly a straight line between rank 10 and 1,000 on logarithmic scales.
    rank = np.arange(10, 1000)
    slope, _ = np.polyfit(np.log(rank), np.log(degree[10:1000]), 1)
    correlation = np.corrcoef(np.log(rank), np.log(degree[10:1000]))[0, 1]
    assert -1.0 < slope < -0.3
    assert correlation < -0.97


def test_listens_concentrate_on_few_artists_and_genres(listens):
    artist_of = [name.split(" — ")[1] for name in listens.items.names.tolist()]
    _, artist_of = np.unique(artist_of, return_inverse=True)
    assert share_of_top(listens.user, artist_of[listens.item], 6) > 0.8
    shuffled = np.random.default_rng(0).permutation(artist_of[listens.item])
    assert share_of_top(listens.user, shuffled, 6) < 0.45

    # Artists of a genre share listeners: a listener's artists lie in few of the genres.
    random = np.random.Generator(np.random.Philox(0))
    songs = synthetic.make_songs(random, 4000, 400, 50)
    artist = np.searchsorted(songs.artist_start, np.arange(4000), side="right") - 1
    genre = np.searchsorted(songs.genre_start, artist, side="right") - 1
    genre_of = dict(zip(songs.names.tolist(), genre.tolist(), strict=True))
    genres = np.array([genre_of[name] for name in listens.items.names.tolist()])
    assert share_of_top(listens.user, genres[listens.item], 3) > 0.9


def share_of_top(user: np.ndarray, group: np.ndarray, k: int) -> float:
    """Mean share of a user's listens that fall in its k largest groups."""
    table = np.zeros((user.max() + 1, group.max() + 1))
    np.add.at(table, (user, group), 1)
    top = np.sort(table, axis=1)[:, -k:].sum(axis=1)
    return float((top / table.sum(axis=1)).mean())


def recall_at_10(scores: np.ndarray, train: np.ndarray, test: np.ndarray) -> float:
    """Mean recall of the ten best-scored songs outside train; train, test: [users, items] bool."""
    top = np.argpartition(-np.where(train, -np.inf, scores), 10, axis=1)[:, :10]
    hits = np.take_along_axis(test, top, axis=1).sum(axis=1)
    relevant = test.sum(axis=1)
    return float((hits[relevant > 0] / relevant[relevant > 0]).mean())


@pytest.mark.parametrize("seed", [0, 1])
def test_taste_can_be_learned(seed):
    parts = split(synthetic.generate(seed), Rules(kind="random", seed=0))
    shape = (parts.train.num_users, parts.train.num_items)
    train, test = np.zeros(shape, bool), np.zeros(shape, bool)
    train[parts.train.user, parts.train.item] = True
    test[parts.test.user, parts.test.item] = True
    # Item neighbourhoods by cosine, for a sample of listeners that keeps this quick.
    some = np.arange(0, 3000, 5)
    degree = train.sum(axis=0).astype(np.float32)
    scaled = train / np.sqrt(np.maximum(degree, 1))
    scores = (train[some].astype(np.float32) @ scaled.T) @ scaled
    neighbours = recall_at_10(scores, train[some], test[some])
    popular = recall_at_10(np.broadcast_to(degree, scores.shape), train[some], test[some])
    chance = 10 / shape[1]
    assert popular > 5 * chance
    assert 0.02 < popular < 0.06
    assert 0.25 < neighbours < 0.4
    assert neighbours > 5 * popular


@pytest.mark.parametrize(
    "sizes",
    [
        {"num_users": 1, "num_items": 1, "listens_per_user": 1},
        {"num_users": 1, "num_items": 300},
        {"num_users": 30, "num_items": 7, "num_artists": 7, "num_genres": 7},
        {"num_users": 30, "num_items": 9, "num_artists": 1, "num_genres": 1},
    ],
)
def test_small_and_odd_sizes(sizes):
    listens = synthetic.generate(3, **sizes)
    assert len(listens.users) == sizes["num_users"] == len(np.unique(listens.user))
    assert len(listens.items) == sizes["num_items"] > listens.item.max()
    assert listens.item.min() >= 0


@pytest.mark.parametrize(
    "sizes",
    [
        {"num_users": 0},
        {"num_items": 0},
        {"num_items": 5, "num_artists": 6},
        {"num_artists": 3, "num_genres": 4},
        {"listens_per_user": 0.5},
        {"listens_per_user": float("nan")},
    ],
)
def test_impossible_sizes(sizes):
    with pytest.raises(ValueError, match="expected"):
        synthetic.generate(0, **sizes)
