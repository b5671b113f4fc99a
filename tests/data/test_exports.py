"""Exports of music services: people, songs and times known by the service's name alone."""

import io
import json
import zipfile
from pathlib import Path

import pytest

from jaxrec.data.exports import find_sources
from jaxrec.data.interactions import Listens
from jaxrec.data.listens import read_listens
from jaxrec.data.meaning import Filters, FixedUser
from jaxrec.data.read_report import ReadReport
from jaxrec.errors import UserError

EXTENDED = "Spotify Extended Streaming History/Streaming_History_Audio_2020_0.json"
ACCOUNT = "Spotify Account Data/StreamingHistory_music_0.json"


def extended(*plays: tuple[str | None, str | None, str | None, int]) -> list[dict]:
    """Records of the extended history: uri, artist, title, milliseconds."""
    return [
        {
            "ts": f"2020-09-13T20:{minute:02}:24Z",
            "username": "secret-name",
            "ms_played": played,
            "conn_country": "XX",
            "ip_addr": "192.0.2.7",
            "master_metadata_track_name": title,
            "master_metadata_album_artist_name": artist,
            "spotify_track_uri": uri,
            "episode_name": None if title else "A podcast",
        }
        for minute, (uri, artist, title, played) in enumerate(plays)
    ]


def account(*plays: tuple[str, str]) -> list[dict]:
    """Records of the account data: artist, title."""
    return [
        {"endTime": f"2020-09-13 20:{minute:02}", "artistName": artist, "trackName": title,
         "msPlayed": 200_000}
        for minute, (artist, title) in enumerate(plays)
    ]  # fmt: skip


def write(path: Path, records: list[dict]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(records))


def zip_of(path: Path, **members: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("README.pdf", "what the columns mean")
        for name, content in members.items():
            archive.writestr(name, content)


def read(
    name: str, path: Path, *, user: str | None = None, **filters
) -> tuple[Listens, ReadReport, list[str]]:
    sources, notes = find_sources(name, path, FixedUser(user))
    (listens,), report = read_listens([sources], filters=Filters(**filters))
    return listens, report, notes


def pairs(listens: Listens) -> list[tuple[str, str]]:
    users, items = listens.users.ids[listens.user], listens.items.ids[listens.item]
    return sorted(zip(users.tolist(), items.tolist(), strict=True))


SONG = ("spotify:track:1", "Band", "Song", 200_000)
OTHER = ("spotify:track:2", "Band", "Other", 100_000)
SKIPPED = ("spotify:track:2", "Band", "Other", 900)
PODCAST = (None, None, None, 1_000_000)


class TestSpotify:
    def test_a_folder_a_person(self, tmp_path):
        write(tmp_path / "anna" / EXTENDED, extended(SONG, PODCAST, SKIPPED))
        write(tmp_path / "ben" / "MyData" / "endsong_0.json", extended(OTHER))
        zip_of(tmp_path / "carla.zip", **{EXTENDED: json.dumps(extended(SONG, OTHER))})
        zip_of(tmp_path / "dora" / "my_spotify_data.zip", **{EXTENDED: json.dumps(extended(SONG))})
        (tmp_path / "ben" / "MyData" / "Userdata.json").write_text('{"email": "ben@example.org"}')
        listens, report, notes = read("spotify", tmp_path, min_ms_played=30_000)
        assert pairs(listens) == [
            ("anna", "spotify:track:1"),
            ("ben", "spotify:track:2"),
            ("carla", "spotify:track:1"),
            ("carla", "spotify:track:2"),
            ("dora", "spotify:track:1"),
        ]
        assert listens.items.names.tolist() == ["Song — Band", "Other — Band"]
        assert (report.no_item, report.too_short, report.skipped) == (1, 1, 0)
        assert pairs(listens.known) == [("anna", "spotify:track:2")]  # skipped, so known
        assert notes == ["left out 'Userdata.json': no listens of songs"]

    @pytest.mark.parametrize("layout", ["zip", "folder", "inner folder", "file"])
    def test_one_person(self, tmp_path, layout):
        folder = tmp_path / "anna"
        write(folder / EXTENDED, extended(SONG, OTHER))
        zip_of(tmp_path / "anna.zip", **{EXTENDED: json.dumps(extended(SONG, OTHER))})
        path = {
            "zip": tmp_path / "anna.zip",
            "folder": folder,
            "inner folder": (folder / EXTENDED).parent,
            "file": folder / EXTENDED,
        }[layout]
        listens, _, _ = read("spotify", path)
        assert listens.users.ids.tolist() == ["anna"] and len(listens) == 2
        assert listens.timestamp.tolist() == [1600027224, 1600027284]
        assert read("spotify", path, user="me")[0].users.ids.tolist() == ["me"]

    def test_songs_without_an_id_are_those_of_the_same_artist_and_title(self, tmp_path):
        write(tmp_path / "anna" / EXTENDED, extended(SONG, OTHER))
        plays = account(("band", "SONG "), ("Band", "Song"), ("Nobody", "Else"))
        plays += account(("Unknown Artist", "Unknown Track"))
        write(tmp_path / "ben" / ACCOUNT, plays)
        podcast = [{"endTime": "2020-09-13 20:46", "podcastName": "P", "episodeName": "E"}]
        write(tmp_path / "ben" / "MyData" / "StreamingHistory_podcast_0.json", podcast)
        listens, report, _ = read("spotify", tmp_path)
        assert pairs(listens) == [
            ("anna", "spotify:track:1"),
            ("anna", "spotify:track:2"),
            ("ben", "nobody — else"),
            ("ben", "spotify:track:1"),
            ("ben", "spotify:track:1"),
        ]
        assert (report.unmatched, report.defects) == (1, 1)
        assert listens.items.names.tolist() == ["Else — Nobody", "Song — Band", "Other — Band"]

    def test_plays_are_not_counted_twice_where_a_person_has_both_exports(self, tmp_path):
        write(tmp_path / "anna" / EXTENDED, extended(SONG))
        write(tmp_path / "anna" / ACCOUNT, account(("Band", "Song")))
        listens, _, notes = read("spotify", tmp_path)
        assert len(listens) == 1
        assert "the extended history has these plays too" in notes[0]

    def test_nothing_of_the_other_columns_is_left(self, tmp_path, capsys):
        write(tmp_path / EXTENDED, extended(SONG, (None, "Band", None, 5), PODCAST))
        listens, report, notes = read("spotify", tmp_path, on_bad_rows="skip")
        said = f"{listens} {listens.users.ids} {listens.items.ids} {report!r} {notes}"
        write(tmp_path / EXTENDED, extended(("spotify:track:1", "Band", "Song", -1)))
        with pytest.raises(UserError, match=r"ms_played is '-1'") as error:
            read("spotify", tmp_path)
        for text in (said, str(error.value)):
            assert not any(word in text for word in ("192.0.2.7", "secret-name", "XX"))

    def test_what_is_no_export_is_refused(self, tmp_path):
        (tmp_path / "Playlist1.json").write_text('{"playlists": []}')
        with pytest.raises(
            UserError, match=r"no listens of Spotify in it \(but 'Playlist1.json'\)"
        ):
            read("spotify", tmp_path)
        (tmp_path / "anna.zip").write_bytes(b"PK\3\4 and no more")
        with pytest.raises(UserError, match=r"anna.zip: damaged"):
            read("spotify", tmp_path)


class TestLastfm:
    ROWS = (
        'Band,Record,"Song, live",13 Sep 2020 20:46\n'
        "Band,,Other,01 Jan 1970 00:00\n"
        'Björk,Post,"Say ""Hi""",02 Oct 2020 09:50\n'
        "Band,Record,Now playing,\n"
    )
    HEADER = "uts,utc_time,artist,artist_mbid,album,album_mbid,track,track_mbid\n"

    def test_without_a_header(self, tmp_path):
        (tmp_path / "anna.csv").write_text(self.ROWS)
        (tmp_path / "ben.csv").write_text(self.ROWS.replace("Band,", "BAND,"))
        listens, report, _ = read("lastfm-csv", tmp_path)
        assert listens.users.ids.tolist() == ["anna", "ben"]
        assert listens.items.ids.tolist() == [
            "band — other",
            "band — song, live",
            'björk — say "hi"',
        ]
        assert listens.items.names.tolist()[0] == "Other — Band"
        assert listens.timestamp.tolist()[:3] == [1600029960, 0, 1601632200]
        assert report.defects == 2  # what was being played has no time

    def test_with_a_header_and_ids(self, tmp_path):
        row = '"1600029960","13 Sep 2020, 20:46","Band","","Record","","{}","{}"\n'
        (tmp_path / "recenttracks-anna-1700000000.csv").write_text(
            self.HEADER + row.format("Song", "m1") + row.format("Other", "")
        )
        (tmp_path / "ben.csv").write_text(self.HEADER + row.format("song", ""))
        listens, report, _ = read("lastfm-csv", tmp_path)
        assert pairs(listens) == [("anna", "band — other"), ("anna", "m1"), ("ben", "m1")]
        assert report.unmatched == 1 and set(listens.timestamp.tolist()) == {1600029960}

    @pytest.mark.parametrize("header", ["Artist;Album;Title;Date", "artist\talbum\tname\ttime"])
    def test_other_programs_headers(self, tmp_path, header):
        mark = header[6]
        row = mark.join(["Band", "Record", '"a ""b"""', "2020-09-13 20:46"])
        (tmp_path / "anna.csv").write_text(f"{header}\n{row}\n")
        listens, _, _ = read("lastfm-csv", tmp_path)
        assert (pairs(listens), listens.timestamp.tolist()) == (
            [("anna", 'band — a "b"')],
            [1600029960],
        )

    def test_a_zip_and_a_folder_a_person(self, tmp_path):
        zip_of(tmp_path / "anna.zip", **{"scrobbles.csv": self.ROWS})
        (tmp_path / "ben").mkdir()
        (tmp_path / "ben" / "scrobbles.csv").write_text(self.ROWS)
        assert read("lastfm-csv", tmp_path)[0].users.ids.tolist() == ["anna", "ben"]

    def test_a_table_of_something_else_is_refused(self, tmp_path):
        (tmp_path / "a.csv").write_text("user,item\n1,2\n")
        with pytest.raises(
            UserError, match=r"no listens of Last.fm in it \(but 'a.csv'\), expected"
        ):
            read("lastfm-csv", tmp_path / "a.csv")


def listen(title: str, time: int, *, user: str | None = None, **more) -> dict:
    """A record of ListenBrainz."""
    record = {
        "listened_at": time,
        "recording_msid": f"msid-{title}",
        "track_metadata": {"track_name": title, "artist_name": "Band"} | more,
    }
    return record | ({} if user is None else {"user_id": 1, "user_name": user})


class TestListenBrainz:
    def test_lines_of_many_people(self, tmp_path):
        records = [
            listen("Song", 5, user="anna", additional_info={"recording_mbid": "m1"}),
            listen("Song", 6, user="ben", additional_info={"recording_mbid": None}),
            listen("song", 7, user="ben"),
            listen("Other", 8, user="anna", mbid_mapping={"recording_mbid": "m2"}),
            listen("Third", 9, user="anna", additional_info={}),
        ]
        path = tmp_path / "listens.jsonl"
        path.write_text("".join(json.dumps(record) + "\n" for record in records))
        listens, report, _ = read("listenbrainz", path)
        assert pairs(listens) == [
            ("anna", "band — third"),
            ("anna", "m1"),
            ("anna", "m2"),
            ("ben", "m1"),
            ("ben", "m1"),
        ]
        assert report.unmatched == 1 and listens.timestamp.tolist() == [5, 6, 7, 8, 9]

    def test_a_persons_zip(self, tmp_path):
        lines = "".join(json.dumps(listen(title, 5)) + "\n" for title in ("Song", "Other"))
        feedback = '{"recording_mbid": "m1", "score": 1}\n'
        for user in ("anna", "ben"):
            zip_of(
                tmp_path / f"listenbrainz_{user}_1700000000.zip",
                **{"listens/2020/9.jsonl": lines, "feedback.jsonl": feedback, "user.json": "{}"},
            )
        listens, _, notes = read("listenbrainz", tmp_path)
        assert listens.users.ids.tolist() == ["anna", "ben"] and len(listens) == 4
        assert "'feedback.jsonl', 'user.json'" in notes[0]

    def test_an_array(self, tmp_path):
        path = tmp_path / "anna_lb-2020-09-13.json"
        path.write_text(json.dumps([listen("Song", 5)]))
        assert read("listenbrainz", path)[0].users.ids.tolist() == ["anna"]


def test_a_member_that_is_cut_off_is_refused(tmp_path):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(EXTENDED, json.dumps(extended(SONG) * 50))
    content = bytearray(stream.getvalue())
    content[len(EXTENDED) + 60] ^= 0xFF
    (tmp_path / "anna.zip").write_bytes(content)
    with pytest.raises(UserError, match=r"anna.zip/.*(can't be read|damaged)"):
        read("spotify", tmp_path)
