"""Makes the invented export that the page ships: `python -m tests.serve.page.example_export`.

It is what a listener of the default run would get from Spotify (extended streaming history), with
what such an export has beside songs: an address, a device, a podcast, plays that were broken off,
and titles that the model doesn't know.
"""

import datetime
import json

import numpy as np

from jaxrec.data.synthetic import generate
from tests.nursery import ROOT

PATH = ROOT / "jaxrec" / "serve" / "page" / "example.json"
LISTENER = "listener-0077"
UNKNOWN = [
    ("Nobody Heard This", "The Unrecorded"),
    ("B-Side of a B-Side", "The Fallen Avenue"),
    ("Rain on the Attic Window (Demo)", "The Unrecorded"),
]
PODCAST, BROKEN_OFF = (None, None), 4  # plays of less than half a minute
ADDRESS, DEVICE = "192.0.2.77", "invented phone"


def make() -> str:
    """The export's text, the same each time: a play per line."""
    listens = generate(0)
    user = int(listens.users.index_of([LISTENER])[0])
    chosen = np.flatnonzero(listens.user == user)
    items = listens.items
    assert items.names is not None
    plays: list[tuple[int, str | None, str | None, str | None, int]] = []
    for row in chosen.tolist():
        title, _, artist = items.names[listens.item[row]].rpartition(" — ")
        uri = f"spotify:track:{items.ids[listens.item[row]]}"
        plays.append((int(listens.timestamp[row]), title, artist, uri, 215_000))
    first = plays[0][0]
    for number, (title, artist) in enumerate([*UNKNOWN, PODCAST]):
        uri = title and f"spotify:track:unknown-{number}"
        plays.append((first + 86_400 * (number + 1), title, artist, uri, 180_000))
    for number in range(BROKEN_OFF):
        time, title, artist, uri, _ = plays[number]
        plays.append((time + 60, title, artist, uri, 9_000))
    lines = [json.dumps(_row(*play), ensure_ascii=False) for play in sorted(plays, key=_time)]
    return "[\n" + ",\n".join(lines) + "\n]\n"


def _time(play: tuple[int, str | None, str | None, str | None, int]) -> int:
    return play[0]


def _row(time: int, title: str | None, artist: str | None, uri: str | None, ms: int) -> object:
    moment = datetime.datetime.fromtimestamp(time, datetime.UTC)
    return {
        "ts": moment.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "platform": DEVICE,
        "ms_played": ms,
        "ip_addr": ADDRESS,
        "master_metadata_track_name": title,
        "master_metadata_album_artist_name": artist,
        "spotify_track_uri": uri,
        "episode_name": None if title else "An invented podcast",
    }


if __name__ == "__main__":
    PATH.write_text(make(), encoding="utf-8")
