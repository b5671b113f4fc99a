"""The embedded default: a listening history generated from a seed, with taste worth learning.

The model, in the order of the code:

1. *Songs.* An artist plays one genre. Genres, artists within a genre and songs of an artist have
   Zipf-like popularity (weight `rank ** -exponent`); a song's weight is its artist's, shared out
   among the artist's songs. A fifth of the songs were released during the history.
2. *Listeners.* Each has up to three genres and up to six favourite artists from them, drawn by
   popularity.
3. *Listens.* How many a listener has is log-normal. Of these, 85% are of a favourite artist, 11%
   of anything in one of the listener's genres and 4% of anything at all; within that range a song
   is drawn by its weight. So songs are heard again, and hits are heard by many.
4. *Times.* A listen happens at any moment after the song's release and the listener's arrival,
   until two years after the start.

A model that finds out which artists share listeners can guess what else a listener will like,
which a list of the most popular songs can't.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np

from jaxrec.data.ids import IdMap
from jaxrec.data.interactions import Listens

START = 1_640_995_200  # 2022-01-01 UTC, in seconds since 1970
DURATION = 730 * 86_400  # seconds

GENRES_PER_LISTENER = 3
FAVOURITES_PER_LISTENER = 6
FAVOURITE_SHARE = 0.85  # of the listens: of a favourite artist
GENRE_SHARE = 0.11  # of the listens: of anything in one of the listener's genres
GENRE_EXPONENT = 0.4
ARTIST_EXPONENT = 0.7
SONG_EXPONENT = 0.9
LISTENS_SPREAD = 0.6  # standard deviation of the logarithm of a listener's number of listens
NEW_SHARE = 0.2  # of the songs: released during the history


def _words(text: str) -> list[str]:
    return text.split()


ADJECTIVES = _words(
    "Amber Broken Burning Copper Crimson Distant Drifting Electric Empty Endless Faded Fallen "
    "Forgotten Frozen Gentle Golden Hidden Hollow Indigo Ivory Last Little Lonely Lunar Midnight "
    "Northern Paper Pale Quiet Restless Scarlet Second Silent Silver Slow Southern Sudden Velvet "
    "Wandering Wild"
)
THINGS = _words(
    "Anchors Arrows Avenues Balloons Bells Borders Bridges Candles Circles Clouds Corners Diamonds "
    "Dreams Echoes Embers Engines Feathers Fires Gardens Ghosts Hearts Horizons Islands Kites "
    "Lanterns Letters Machines Maps Mirrors Mountains Oceans Orchards Postcards Rivers Roads "
    "Satellites Shadows Signals Stations Sparrows Tides Trains Valleys Windows"
)
PLACES = _words(
    "Attic Cathedral City Dark Desert Distance Forest Harbour Hills Kitchen Meadow Mist Morning "
    "Rain River Room Sea Sky Snow Suburbs Sun Valley Water Wind"
)
BANDS = _words(
    "Arcade Assembly Atlas Avenue Ballroom Beacon Canyon Carousel Choir Club Committee Council "
    "Harbour Hotel House Library Lighthouse Machine Museum Observatory Orchestra Parade Pavilion "
    "Quartet Republic Sailors Society Strangers Theatre Union"
)
TITLES = [
    *(f"{adjective} {thing}" for adjective in ADJECTIVES for thing in THINGS),
    *(f"{thing} in the {place}" for thing in THINGS for place in PLACES),
]
ARTISTS = [f"The {adjective} {band}" for adjective in ADJECTIVES for band in BANDS]


@dataclasses.dataclass(frozen=True, eq=False)
class Songs:
    """The generated songs, sorted by genre, then artist, then popularity.

    Attributes:
      genre_start: [num_genres + 1] int64, artists `genre_start[g]:genre_start[g + 1]` play g.
      artist_start: [num_artists + 1] int64, songs `artist_start[a]:artist_start[a + 1]` are a's.
      genre_mass: [num_genres + 1] float64, cumulative weight before each genre.
      artist_mass: [num_artists + 1] float64, cumulative weight before each artist.
      song_mass: [num_items + 1] float64, cumulative weight before each song.
      release: [num_items] float64, seconds after the start; 0 if released before it.
      names: [num_items] object holding str, title and artist.
    """

    genre_start: np.ndarray
    artist_start: np.ndarray
    genre_mass: np.ndarray
    artist_mass: np.ndarray
    song_mass: np.ndarray
    release: np.ndarray
    names: np.ndarray


def generate(
    seed: int,
    *,
    num_users: int = 3_000,
    num_items: int = 4_000,
    num_artists: int | None = None,
    num_genres: int | None = None,
    listens_per_user: float = 40.0,
) -> Listens:
    """Generates a listening history; the same arguments give the same bytes.

    Args:
      seed: seed of everything drawn, >= 0.
      num_users: listeners, >= 1. Each has at least one listen.
      num_items: songs, >= 1. A song nobody listens to keeps its id.
      num_artists: artists, at most one per song; None for one per ten songs.
      num_genres: genres, at most one per artist; None for one per eight artists.
      listens_per_user: mean number of listens per listener, >= 1.

    Returns:
      Listens in order of time, one play each, with ids such as `listener-0001` and `song-00017`
      and names such as `Paper Lanterns — The Velvet Harbour` (title, artist).

    Raises:
      ValueError: an argument is out of range.
    """
    num_artists = max(num_items // 10, 1) if num_artists is None else num_artists
    num_genres = max(num_artists // 8, 1) if num_genres is None else num_genres
    if not (1 <= num_genres <= num_artists <= num_items and num_users >= 1):
        raise ValueError("expected 1 <= num_genres <= num_artists <= num_items, and num_users >= 1")
    if not listens_per_user >= 1:
        raise ValueError(f"listens_per_user is {listens_per_user}; expected 1 or more")
    random = np.random.Generator(np.random.Philox(seed))
    songs = make_songs(random, num_items, num_artists, num_genres)
    user, song = _draw_listens(random, songs, num_users, listens_per_user)
    arrival = random.random(num_users) * 0.6 * DURATION
    earliest = np.maximum(arrival[user], songs.release[song])
    moment = earliest + random.random(len(user)) * (DURATION - earliest)
    timestamp = START + moment.astype(np.int64)

    # Neighbouring ids would otherwise give the artist away.
    item_of_song = random.permutation(num_items).astype(np.int32)
    item = item_of_song[song]
    names = np.empty(num_items, object)
    names[item_of_song] = songs.names
    order = np.lexsort((item, user, timestamp))
    return Listens(
        user=user[order],
        item=item[order],
        plays=np.ones(len(user)),
        timestamp=timestamp[order],
        users=IdMap(_numbered("listener", num_users, 4)),
        items=IdMap(_numbered("song", num_items, 5), names),
    )


def make_songs(
    random: np.random.Generator, num_items: int, num_artists: int, num_genres: int
) -> Songs:
    """Draws the songs of `generate`, each genre with an artist and each artist with a song."""
    genre_weight = np.arange(1, num_genres + 1) ** -GENRE_EXPONENT
    genre_mass = _mass(genre_weight)
    drawn = _draw(random, genre_mass, np.zeros(num_artists - num_genres, int), num_genres)
    genre = np.sort(np.r_[np.arange(num_genres), drawn])
    artist_weight = random.permutation(np.arange(1, num_artists + 1)) ** -ARTIST_EXPONENT

    drawn = random.integers(0, num_artists, num_items - num_artists)
    artist = np.sort(np.r_[np.arange(num_artists), drawn])
    artist_start = np.searchsorted(artist, np.arange(num_artists + 1))
    rank = np.arange(num_items) - artist_start[artist]
    song_weight = (rank + 1.0) ** -SONG_EXPONENT
    total = np.add.reduceat(song_weight, artist_start[:-1])
    song_weight *= artist_weight[artist] / total[artist]
    release = np.maximum(random.random(num_items) - (1 - NEW_SHARE), 0) / NEW_SHARE
    return Songs(
        genre_start=np.searchsorted(genre, np.arange(num_genres + 1)),
        artist_start=artist_start,
        genre_mass=genre_mass,
        artist_mass=_mass(artist_weight),
        song_mass=_mass(song_weight),
        release=release * 0.8 * DURATION,
        names=_names(random, artist, rank),
    )


def _draw_listens(
    random: np.random.Generator, songs: Songs, num_users: int, listens_per_user: float
) -> tuple[np.ndarray, np.ndarray]:
    """User and song of each listen: [n] int32 and [n] int64."""
    everything = np.zeros((num_users, GENRES_PER_LISTENER), int)
    genres = _draw(random, songs.genre_mass, everything, len(songs.genre_start) - 1)
    chosen = random.integers(0, GENRES_PER_LISTENER, (num_users, FAVOURITES_PER_LISTENER))
    chosen = np.take_along_axis(genres, chosen, axis=1)
    favourites = _draw(
        random, songs.artist_mass, songs.genre_start[chosen], songs.genre_start[chosen + 1]
    )

    level = np.log(listens_per_user) - LISTENS_SPREAD**2 / 2  # the mean is then as asked
    count = np.exp(level + LISTENS_SPREAD * random.standard_normal(num_users))
    user = np.repeat(np.arange(num_users, dtype=np.int32), np.maximum(count.astype(int), 1))

    # The first favourites are heard more often than the last.
    favour = _mass(np.arange(1, FAVOURITES_PER_LISTENER + 1) ** -0.5)
    slot = _draw(random, favour, np.zeros(len(user), int), FAVOURITES_PER_LISTENER)
    artist = favourites[user, slot]
    genre = genres[user, random.integers(0, GENRES_PER_LISTENER, len(user))]
    why = random.random(len(user))
    reasons = [why < FAVOURITE_SHARE, why < FAVOURITE_SHARE + GENRE_SHARE]
    first = np.select(reasons, [artist, songs.genre_start[genre]], 0)
    last = np.select(
        reasons, [artist + 1, songs.genre_start[genre + 1]], len(songs.artist_mass) - 1
    )
    song = _draw(random, songs.song_mass, songs.artist_start[first], songs.artist_start[last])
    return user, song


def _mass(weight: np.ndarray) -> np.ndarray:
    """Cumulative weight before each entry, and of all: [n + 1] float64."""
    return np.r_[0.0, np.cumsum(weight)]


def _draw(
    random: np.random.Generator, mass: np.ndarray, start: np.ndarray, stop: np.ndarray | int
) -> np.ndarray:
    """Draws an index from each range `start:stop` with the weights behind `mass`."""
    point = mass[start] + random.random(start.shape) * (mass[stop] - mass[start])
    index = np.searchsorted(mass, point, side="right") - 1
    return np.clip(index, start, np.asarray(stop) - 1)  # rounding may touch the range's end


def _names(random: np.random.Generator, artist: np.ndarray, rank: np.ndarray) -> np.ndarray:
    """Title and artist of each song, all different: [num_items] object holding str."""
    artist_names = random.permutation(ARTISTS)
    first_title = random.integers(0, len(TITLES), artist[-1] + 1)
    # 1009 is coprime to the number of titles: an artist uses all of them before one comes again.
    title = first_title[artist] + 1009 * rank
    names = np.empty(len(artist), object)
    names[:] = [
        f"{_pick(TITLES, t, r)} — {_pick(artist_names, a, a)}"
        for t, r, a in zip(title.tolist(), rank.tolist(), artist.tolist(), strict=True)
    ]
    return names


def _pick(words: Sequence[str] | np.ndarray, index: int, uses: int) -> str:
    """A word, with a number once all have been used."""
    word, turn = words[index % len(words)], uses // len(words)
    return f"{word} {turn + 1}" if turn else word


def _numbered(word: str, count: int, digits: int) -> np.ndarray:
    """Ids `word-0001` to `word-<count>`, in increasing order also as text."""
    digits = max(digits, len(str(count)))
    ids = np.empty(count, object)
    ids[:] = [f"{word}-{number:0{digits}}" for number in range(1, count + 1)]
    return ids
