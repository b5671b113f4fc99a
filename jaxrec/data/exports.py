"""The histories that music services give people, by name: Spotify, Last.fm, ListenBrainz.

A path is one person's file, zip or folder, or a folder with a folder, zip or file for each person.
What a file is, is told by what is in it; the others that such an export has are left out.
"""

import csv
import dataclasses
import io
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from jaxrec.data.compression import UNPACKING_ERRORS, Unpacked
from jaxrec.data.inputs import InputFile, is_zip, list_files, zip_members
from jaxrec.data.meaning import Columns, FixedUser, Layout, Source
from jaxrec.data.rows import shown
from jaxrec.errors import UserError

HEAD_BYTES = 1 << 16  # of a file, by which it is told
# Folders that a service makes, which name no person.
_FOLDERS = {
    "mydata",
    "my_spotify_data",
    "spotify extended streaming history",
    "spotify account data",
    "listens",
}
_FILE_NAMES = (
    re.compile(r"listenbrainz[_-](.+?)[_-]\d+"),
    re.compile(r"recenttracks[_-](.+?)[_-]\d+"),
    re.compile(r"(.+?)_lb-\d{4}-\d\d-\d\d"),
)

SPOTIFY_EXTENDED = Source(
    (),
    Columns(
        "user",
        "spotify_track_uri",
        timestamp="ts",
        ms_played="ms_played",
        item_name="master_metadata_track_name",
        artist="master_metadata_album_artist_name",
    ),
    layout=Layout("json"),
    no_item="spotify_track_uri is empty and master_metadata_track_name is empty",
    by_name=True,
)
SPOTIFY_ACCOUNT = Source(
    (),
    Columns(
        "user",
        None,
        timestamp="endTime",
        ms_played="msPlayed",
        item_name="trackName",
        artist="artistName",
    ),
    layout=Layout("json"),
    no_item="trackName is empty",
    # What Spotify no longer has.
    defects='trackName == "Unknown Track"',
    by_name=True,
)
LISTENBRAINZ = Source(
    (),
    Columns(
        "user_name",
        "track_metadata.mbid_mapping.recording_mbid"
        " | track_metadata.additional_info.recording_mbid",
        timestamp="listened_at | timestamp",
        item_name="track_metadata.track_name",
        artist="track_metadata.artist_name",
    ),
    layout=Layout("json"),
    by_name=True,
    optional=frozenset(
        {
            "timestamp",
            "listened_at",
            "track_metadata.mbid_mapping.recording_mbid",
            "track_metadata.additional_info.recording_mbid",
        }
    ),
)
# What the programs that export from Last.fm call a column.
_LASTFM_NAMES = {
    "artist": ("artist", "artist_name", "artist name"),
    "item_name": ("track", "title", "name", "track_name", "song", "track name"),
    "timestamp": ("uts", "timestamp", "utc_time", "date", "datetime", "time", "played_at"),
    "item": ("track_mbid", "mbid"),
}
# Of those without a header: artist, album, title, date.
LASTFM_WITHOUT_HEADER = Source(
    (),
    Columns("user", None, timestamp="3", item_name="2", artist="0"),
    layout=Layout("csv", header=False, delimiter=","),
    defects="3 is empty",  # what is played right now
    by_name=True,
)


@dataclasses.dataclass(frozen=True)
class Service:
    """A music service.

    Attributes:
      title: what to call it.
      endings: of the names of its files, of which each is looked into.
      find: what a file is by its first characters, None where it has no listens.
      expected: what its export looks like.
      own_file: whether a person's history is one file, so that its name is the person.
    """

    title: str
    endings: tuple[str, ...]
    find: Callable[[str], Source | None]
    expected: str
    own_file: bool = False


def _spotify(head: str) -> Source | None:
    if '"ts"' in head and '"master_metadata_track_name"' in head:
        return SPOTIFY_EXTENDED
    return SPOTIFY_ACCOUNT if '"endTime"' in head and '"trackName"' in head else None


def _listenbrainz(head: str) -> Source | None:
    if '"track_metadata"' not in head or not re.search('"(listened_at|timestamp)"', head):
        return None
    if '"user_name"' in head:
        return LISTENBRAINZ
    assert LISTENBRAINZ.columns is not None  # the person then is the file's
    return dataclasses.replace(
        LISTENBRAINZ, columns=dataclasses.replace(LISTENBRAINZ.columns, user="user")
    )


def _lastfm(head: str) -> Source | None:
    first = next((line for line in head.splitlines() if line.strip()), "")
    for delimiter in (",", ";", "\t"):
        fields = next(csv.reader(io.StringIO(first), delimiter=delimiter), [])
        known = {field.strip().lower(): field for field in fields}
        found = {
            role: next((known[name] for name in names if name in known), None)
            for role, names in _LASTFM_NAMES.items()
        }
        artist, title, time = found["artist"], found["item_name"], found["timestamp"]
        if artist and title and time:
            columns = Columns("user", found["item"], timestamp=time, item_name=title, artist=artist)
            return Source(
                (),
                columns,
                layout=Layout("csv", delimiter=delimiter, quoted=True),
                defects=f'"{time}" is empty',
                by_name=True,
            )
    is_date = r"(\d{1,2} [A-Z][a-z]{2,8} \d{4},? \d\d:\d\d(:\d\d)?|\d{4}-\d\d-\d\d[^,]*)?"
    fields = next(csv.reader(io.StringIO(first)), [])
    good = len(fields) == 4 and re.fullmatch(is_date, fields[3])
    return LASTFM_WITHOUT_HEADER if good else None


SERVICES = {
    "spotify": Service(
        "Spotify",
        (".json",),
        _spotify,
        "Spotify's zip, or the folder in it with Streaming_History_Audio_….json (extended "
        "streaming history) or StreamingHistory_music_….json (account data)",
    ),
    "lastfm-csv": Service(
        "Last.fm",
        (".csv", ".tsv"),
        _lastfm,
        "CSV with artist, album, title and date, or with a header that names artist, track and "
        "uts, as the programs that export from Last.fm write it",
        own_file=True,
    ),
    "listenbrainz": Service(
        "ListenBrainz",
        (".json", ".jsonl", ".listens"),
        _listenbrainz,
        "ListenBrainz's zip, or its JSON lines with track_metadata and listened_at",
        own_file=True,
    ),
}


def find_sources(name: str, path: str | Path, user: FixedUser) -> tuple[list[Source], list[str]]:
    """The sources of one person's export or of many people's, and notes on what was left out.

    Args:
      name: of `SERVICES`.
      path: the file, zip, folder or glob.
      user: as whom to count a single person; else the name of the folder, zip or file.

    Raises:
      UserError: nothing there is such an export, or a file can't be read.
    """
    service = SERVICES[name]
    root = Path(path)
    by_person: dict[str, list[tuple[InputFile, Source]]] = {}
    left_out: list[InputFile] = []
    for file in _inner_files(root, service):
        source = service.find(_head(file)) if file.ending in service.endings else None
        if source is None:
            left_out.append(file)
        else:
            person = user.of(file) or _person(root, file, own_file=service.own_file)
            by_person.setdefault(person, []).append((file, source))
    if not by_person:
        some = ", ".join(shown(file.name) for file in left_out[:3])
        raise UserError(
            f"{path}: no listens of {service.title} in it"
            f"{f' (but {some})' if some else ''}, expected {service.expected}"
        )
    notes = []
    sources: list[Source] = []
    for person, found in sorted(by_person.items()):
        if any(source is SPOTIFY_EXTENDED for _, source in found):
            twice = [file for file, source in found if source is SPOTIFY_ACCOUNT]
            if twice:
                notes.append(
                    f"{person}: left out {_told(twice)}: the extended history has these plays too"
                )
            found = [(file, source) for file, source in found if source is SPOTIFY_EXTENDED]
        sources += _grouped(person, found)
    if left_out:
        notes.append(f"left out {_told(left_out)}: no listens of songs")
    return sources, notes


def _grouped(person: str, found: Iterable[tuple[InputFile, Source]]) -> Iterator[Source]:
    for file, source in found:
        assert source.columns is not None
        named = source.columns.user != "user"
        yield dataclasses.replace(
            source, files=(file,), user=FixedUser() if named else FixedUser(person)
        )


def _told(files: list[InputFile]) -> str:
    names = list(dict.fromkeys(shown(file.name) for file in files))
    return ", ".join(names[:3]) + (f" and {len(names) - 3:,} more" if len(names) > 3 else "")


def _inner_files(root: Path, service: Service) -> Iterator[InputFile]:
    """The files of a path, those in zips too."""
    for file in list_files(root):
        if not is_zip(file):
            yield InputFile(file)
        else:
            yield from zip_members(file, lambda name: name.lower().endswith(service.endings))


def _person(root: Path, file: InputFile, *, own_file: bool) -> str:
    """Whose file it is: by the first folder below the path, else the zip's or file's name."""
    below = file.path.relative_to(root).parts if root.is_dir() else ()
    folders = [part for part in below[:-1] if part.lower() not in _FOLDERS]
    if folders:
        return folders[0]
    if file.member is not None or own_file:
        stem = file.stem if file.member is None else InputFile(file.path).stem
        names = (pattern.fullmatch(stem) for pattern in _FILE_NAMES)
        named = next((match[1] for match in names if match), stem)
        if named.lower() not in _FOLDERS:
            return named
    above = (root if root.is_dir() else file.path.parent).absolute()
    return next(
        (part for part in reversed(above.parts) if part.lower() not in _FOLDERS), above.name
    )


def _head(file: InputFile) -> str:
    try:
        with Unpacked(file) as opened:
            return opened.stream.read(HEAD_BYTES).decode("utf-8-sig", errors="replace")
    except (*UNPACKING_ERRORS, OSError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise UserError(f"{file}: can't be read ({reason}), expected a whole file") from error
