"""What a file is: told by what it is and what the user says, never by its ending against both."""

import bz2
import csv
import gzip
import io
import lzma
import zipfile

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from jaxrec.data.meaning import Columns
from jaxrec.errors import UserError
from tests.data.reading import read_listens, read_one

TRIPLETS = "".join(f"u{user}\tSO{item}\t{1 + item % 3}\n" for user in range(4) for item in range(5))
PLAYS = Columns("0", "1", plays="2")
HISTORY = "user,item,plays\n1,x,2\n2,y,3\n1,z,4\n"
ROWS = [(1, "x"), (2, "y"), (1, "z")]


def pairs(listens):
    users, items = listens.users.ids[listens.user], listens.items.ids[listens.item]
    return list(zip(users.tolist(), items.tolist(), strict=True))


class TestText:
    @pytest.mark.parametrize("columns", [PLAYS, Columns("0", "1")])
    def test_a_txt_without_header_has_columns(self, tmp_path, columns):
        path = tmp_path / "triplets.txt"
        path.write_text(TRIPLETS)
        listens = read_one(path, columns=columns, header=False)
        assert (len(listens), len(listens.users), len(listens.items)) == (20, 4, 5)

    @pytest.mark.parametrize(
        "text",
        [
            TRIPLETS,
            TRIPLETS.replace("\t", ","),
            TRIPLETS.replace("\t", ";"),
            TRIPLETS.replace("\t", " "),
            TRIPLETS.replace("\t", "  "),
            "1600000000\ta\tb\tc\n",
            "1 2 3.5\n4 5 1.0\n",
            "1 2 3 881250949\n2 2 4 881250950\n",
        ],
    )
    def test_a_txt_that_may_have_columns_is_no_edge_list_without_a_word(self, tmp_path, text):
        path = tmp_path / "a.txt"
        path.write_text(text)
        with pytest.raises(UserError, match=r"a.txt: .*config.data.format=edges"):
            read_one(path)
        if "," not in text and ";" not in text:
            assert len(read_one(path, format="edges")) > 0

    def test_a_txt_of_named_columns_that_it_lacks_is_no_edge_list(self, tmp_path):
        path = tmp_path / "a.txt"
        path.write_text("1 2\n3 4\n")
        with pytest.raises(UserError, match=r"no columns 'uid', 'item'; expected config.data.form"):
            read_one(path, columns=Columns("uid", "item"))
        assert pairs(read_one(path)) == [(1, 2), (3, 4)]

    @pytest.mark.parametrize("delimiter", ["\t", ",", ";", "|", " "])
    @pytest.mark.parametrize("name", ["a.txt", "a.csv", "a.tsv", "a.dat"])
    def test_the_delimiter_is_the_one_with_which_the_header_has_the_columns(
        self, tmp_path, name, delimiter
    ):
        if delimiter == " " and name != "a.txt":
            return
        path = tmp_path / name
        path.write_text(HISTORY.replace(",", delimiter))
        (listens,), report = read_listens([path], columns=Columns("user", "item", plays="plays"))
        assert pairs(listens) == ROWS
        usual = {"a.csv": ",", "a.txt": delimiter}.get(name, "\t")
        assert bool(report.notes) == (delimiter != usual)  # what was found out is told

    @pytest.mark.parametrize("delimiter", ["\t", ",", ";", "|"])
    @pytest.mark.parametrize("name", ["a.txt", "a.csv", "a.tsv"])
    def test_without_a_header_it_is_the_one_that_cuts_all_lines_alike(
        self, tmp_path, name, delimiter
    ):
        path = tmp_path / name
        path.write_text(TRIPLETS.replace("\t", delimiter))
        assert len(read_one(path, columns=PLAYS, header=False)) == 20

    def test_two_delimiters_that_cut_all_lines_alike_are_refused(self, tmp_path):
        path = tmp_path / "a.csv"
        path.write_text("u1\tBand, live\t3\nu2\tOther, live\t4\n")
        with pytest.raises(UserError, match=r"between commas or between tabs; expected one of th"):
            read_one(path, columns=Columns("0", "1"), header=False)
        listens = read_one(path, columns=PLAYS, header=False, delimiter="\t")
        assert pairs(listens) == [("u1", "Band, live"), ("u2", "Other, live")]


class TestQuotes:
    TITLES = ('"Heroes"', "tab\tinside", 'a "b" c', "plain")

    def write(self, path, quoting):
        stream = io.StringIO()
        writer = csv.writer(stream, delimiter="\t", quoting=quoting, lineterminator="\n")
        writer.writerow(["user", "title", "n"])
        for number, title in enumerate(self.TITLES * 5):
            writer.writerow([f"u{number}", title, number])
        path.write_text(stream.getvalue())

    @pytest.mark.parametrize("quoting", [csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC])
    def test_quotes_as_csv_has_them_are_seen_in_tsv(self, tmp_path, quoting):
        path = tmp_path / "a.tsv"
        self.write(path, quoting)
        for quoted in (None, True):
            (listens,), report = read_listens(
                [path], columns=Columns("user", "title"), quoted=quoted
            )
            assert sorted(listens.items.ids.tolist()) == sorted(self.TITLES)
        (_, report) = read_listens([path], columns=Columns("user", "title"))
        assert "double quotes" in report.notes[0]

    def test_quotes_that_are_part_of_a_title_stay(self, tmp_path):
        path = tmp_path / "a.tsv"
        titles = ['"Weird Al"', '"Heroes" live', "it's", '5" heel', '"open', "x"]
        path.write_text("user\titem\n" + "".join(f"u\t{title}\n" for title in titles))
        listens = read_one(path)
        assert sorted(listens.items.ids.tolist()) == sorted(titles)

    def test_a_row_that_quotes_would_mend_says_so(self, tmp_path):
        path = tmp_path / "a.tsv"
        path.write_text('user\titem\nu\tplain\nu\t"a\tb"\n')
        with pytest.raises(UserError, match=r"3: 3 fields, expected 2.*config.data.quoted=True"):
            read_one(path, quoted=False)
        assert pairs(read_one(path, quoted=True))[1] == ("u", "a\tb")

    def test_backslashes_before_quotes(self, tmp_path):
        path = tmp_path / "a.csv"
        path.write_text('user,item\nu,"The \\"Best\\" of, 1"\nv,plain\nw,a\\,b\n')
        with pytest.raises(UserError, match=r":2: text after a closing quote.*config.data.escape"):
            read_one(path)
        listens = read_one(path, escape="\\")
        assert sorted(pairs(listens)) == [("u", 'The "Best" of, 1'), ("v", "plain"), ("w", "a,b")]
        for escape in ("", "ab", '"', ","):
            with pytest.raises(UserError, match=r"escape is"):
                read_one(path, escape=escape, delimiter=",")


PACKERS = {
    ".gz": gzip.compress,
    ".bz2": bz2.compress,
    ".xz": lzma.compress,
    ".zst": lambda data: pa.compress(data, "zstd", asbytes=True),
}


def zipped(**members: bytes) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name.replace("__", "/").replace("_dot_", "."), content)
    return stream.getvalue()


class TestCompression:
    @pytest.mark.parametrize("ending", [*PACKERS, "", ".wrong"])
    @pytest.mark.parametrize("packer", PACKERS)
    def test_a_file_is_unpacked_by_what_it_is(self, tmp_path, packer, ending):
        path = tmp_path / f"a.csv{ending}"
        path.write_bytes(PACKERS[packer](HISTORY.encode()))
        settings = {"format": "csv"} if ending == ".wrong" else {}
        assert pairs(read_one(path, **settings)) == ROWS

    @pytest.mark.parametrize("packer", PACKERS)
    def test_parts_one_after_the_other_are_one_file(self, tmp_path, packer):
        path = tmp_path / f"a.csv{packer}"
        head, rest = HISTORY[:9].encode(), HISTORY[9:].encode()
        path.write_bytes(PACKERS[packer](head) + PACKERS[packer](rest))
        assert pairs(read_one(path)) == ROWS

    def test_a_name_of_compression_without_it_is_no_matter(self, tmp_path):
        path = tmp_path / "a.csv.gz"
        path.write_text(HISTORY)
        assert pairs(read_one(path)) == ROWS

    def test_a_zip_with_one_file_is_that_file(self, tmp_path):
        extra = {"__MACOSX__.x": b"mac", "folder__": b""}
        path = tmp_path / "export.zip"
        path.write_bytes(zipped(folder__h_dot_csv=HISTORY.encode(), **extra))
        assert pairs(read_one(path)) == ROWS
        path.write_bytes(zipped(h_dot_csv_dot_gz=gzip.compress(b"user,item\n1,2\n2\n")))
        with pytest.raises(UserError, match=r"export.zip/h.csv.gz:3: 1 field, expected 2"):
            read_one(path)

    def test_parquet_in_a_zip(self, tmp_path):
        stream = io.BytesIO()
        pq.write_table(pa.table({"user": [1, 2, 1], "item": ["x", "y", "z"]}), stream)
        path = tmp_path / "export.zip"
        path.write_bytes(zipped(h_dot_parquet=stream.getvalue()))
        assert pairs(read_one(path)) == ROWS

    def test_a_small_file_that_unpacks_to_much_is_read_in_bounded_memory(self, tmp_path):
        path = tmp_path / "a.csv.xz"
        path.write_bytes(lzma.compress(b"user,item\n1,1\n" + b"x" * (80 << 20)))
        with pytest.raises(UserError, match=r"a.csv.xz:3: the line is longer than 64 MiB"):
            read_one(path)


class TestEncoding:
    TEXT = "user,item\nJosé,Ænima\nJosé,naïve\n"

    @pytest.mark.parametrize(
        "encoding", ["utf-8", "utf-8-sig", "latin-1", "cp1252", "utf-16", "utf-16-le", "utf-32"]
    )
    def test_text_is_read_in_its_encoding(self, tmp_path, monkeypatch, encoding):
        monkeypatch.setattr("jaxrec.data.text_blocks.BLOCK_BYTES", 7)  # within a character
        path = tmp_path / "a.csv"
        path.write_bytes(self.TEXT.encode(encoding))
        assert pairs(read_one(path, encoding=encoding)) == [("José", "Ænima"), ("José", "naïve")]

    def test_the_error_names_the_field(self, tmp_path):
        path = tmp_path / "a.csv"
        path.write_bytes(self.TEXT.encode("latin-1"))
        with pytest.raises(UserError, match=r":2: broken UTF-8 .*config.data.encoding"):
            read_one(path)
        with pytest.raises(UserError, match=r"encoding is 'klingon', expected one such as utf-8"):
            read_one(path, encoding="klingon")
        path.write_bytes(b"user,item\n\x81,1\n")
        with pytest.raises(UserError, match=r":1: broken (charmap|cp1252).*config.data.encoding n"):
            read_one(path, encoding="cp1252")
        path.write_bytes("é".encode("utf-16")[:-1])
        with pytest.raises(UserError, match=r"broken utf-16"):
            read_one(path, encoding="utf-16")


class TestNames:
    def read(self, tmp_path, name, content, **settings):
        history = tmp_path / "h.csv"
        history.write_text("user,item\nu,SO1\nv,SO2\n")
        path = tmp_path / name
        path.write_bytes(content.encode(settings.get("names_encoding", "utf-8")))
        return read_one(history, names_path=path, **settings).items.names.tolist()

    @pytest.mark.parametrize(
        ("name", "content", "settings"),
        [
            ("n.tsv", "SO1\tCafé\tBand\nSO2\tBlue\tBand\n", {"header": False, "columns": "01"}),
            ("n.csv", "song;title\nSO1;Café\nSO2;Blue\n", {"columns": ("song", "title")}),
            (
                "tracks.txt",
                "TR1<SEP>SO1<SEP>Band<SEP>Café\nTR2<SEP>SO2<SEP>Band<SEP>Blue\n",
                {"delimiter": "<SEP>", "header": False, "columns": ("1", "3")},
            ),
            ("n.csv", "id,name\nSO1,Café\nSO2,Blue\n", {"encoding": "latin-1"}),
            ("n.tsv", 'id\tname\nSO1\t"Ca""fé"""\nSO2\t"Bl\tue"\n', {"quoted": True}),
            ("n.jsonl", '{"id":"SO1","name":"Café"}\n{"id":"SO2","name":"Blue"}\n', {}),
            ("n", "id,name\nSO1,Café\nSO2,Blue\n", {"format": "csv"}),
        ],
    )
    def test_names_are_read_in_every_form_that_listens_are(self, tmp_path, name, content, settings):
        settings = {f"names_{field}": value for field, value in settings.items()}
        if settings.get("names_columns") == "01":
            settings["names_columns"] = ("0", "1")
        names = self.read(tmp_path, name, content, **settings)
        assert [name.replace('"', "").replace("\t", "") for name in names] == ["Café", "Blue"]

    def test_the_error_names_the_fields_of_names(self, tmp_path):
        with pytest.raises(UserError, match=r"no column '0' .*config.data.names_header=False"):
            self.read(tmp_path, "n.tsv", "SO1\tx\n", names_columns=("0", "1"))
        with pytest.raises(UserError, match=r"n.txt: .*config.data.names_format=tsv or csv"):
            self.read(tmp_path, "n.txt", "SO1\tx\nSO2\ty\n")


class TestFolders:
    def test_a_mixture_of_formats_is_refused(self, tmp_path):
        (tmp_path / "a.csv").write_text(HISTORY)
        (tmp_path / "b.json").write_text("[]")
        with pytest.raises(
            UserError, match=r"several formats, 1 csv or tsv \(such as 'a.csv'\), 1 "
        ):
            read_one(tmp_path)
        assert pairs(read_one(tmp_path / "*.csv")) == ROWS

    def test_what_is_left_out_is_named(self, tmp_path):
        (tmp_path / "a.csv").write_text(HISTORY)
        (tmp_path / "b.tsv.gz").write_bytes(gzip.compress(b"user\titem\n3\tw\n"))
        (tmp_path / "LICENSE").write_text("free")
        (tmp_path / "cover.jpg").write_bytes(b"\xff\xd8")
        (listens,), report = read_listens([tmp_path], columns=Columns("user", "item"))
        assert pairs(listens) == [*ROWS, (3, "w")]
        assert "left out 'LICENSE', 'cover.jpg'" in report.notes[0]

    def test_columns_come_from_partitions(self, tmp_path):
        for day, country, rows in (
            ("2020-09-13", "DE", "1,x\n"),
            ("2020-09-14", "FR", "2,x\n1,y\n"),
            ("2020-09-15", "New%20Zealand", "2,y\n"),
            ("__HIVE_DEFAULT_PARTITION__", "DE", "1,z\n"),
        ):
            folder = tmp_path / f"day={day}" / f"land={country}"
            folder.mkdir(parents=True)
            (folder / "part-0.csv").write_text(f"user,item\n{rows}")
        columns = Columns("user", "item", timestamp="day")
        with pytest.raises(UserError, match=r"timestamp is null"):
            read_one(tmp_path, columns=columns)
        (listens,), report = read_listens([tmp_path], columns=columns, on_bad_rows="skip")
        assert [time // 86_400 for time in listens.timestamp] == [18518, 18519, 18519, 18520]
        assert report.skipped == 1
        kept = read_one(tmp_path, keep="land == 'New Zealand'")
        assert pairs(kept) == [(2, "y")]

    def test_a_partition_may_be_the_user(self, tmp_path):
        for user in ("anna", "ben"):
            (tmp_path / f"user={user}").mkdir()
            pq.write_table(pa.table({"item": [1, 2]}), tmp_path / f"user={user}" / "a.parquet")
        assert read_one(tmp_path).users.ids.tolist() == ["anna", "ben"]


class TestListeners:
    def test_a_constant_or_the_name_of_the_file_or_folder_is_the_listener(self, tmp_path):
        for name in ("anna/j.doe.csv.gz", "ben/k.csv"):
            path = tmp_path / name
            path.parent.mkdir()
            rows = f"item\n{name[0]}1\n{name[0]}2\n".encode()
            path.write_bytes(gzip.compress(rows) if path.suffix == ".gz" else rows)
        for settings, users in (
            ({"user": "me"}, ["me"]),
            ({"user_from": "file"}, ["j.doe", "k"]),
            ({"user_from": "folder"}, ["anna", "ben"]),
        ):
            listens = read_one(tmp_path, **settings)
            assert (listens.users.ids.tolist(), len(listens)) == (users, 4)

    def test_mistakes_are_told(self, tmp_path):
        path = tmp_path / "a.csv"
        path.write_text("item,n\n1,2\n")
        with pytest.raises(UserError, match=r"no column 'user'.*config.data.user=NAME"):
            read_one(path)
        with pytest.raises(UserError, match=r"config.data.user is 'me' and config.data.user_from"):
            read_one(path, user="me", user_from="file")
        with pytest.raises(UserError, match=r"config.data.user is ' '; expected the name"):
            read_one(path, user=" ")


class TestIds:
    def test_an_id_of_several_columns(self, tmp_path):
        path = tmp_path / "a.csv"
        path.write_text("user,artist,title\n1,A,Intro\n1,B,Intro\n2,A,Intro\n2,,Intro\n")
        columns = Columns("user", "artist + title", item_name="title", artist="artist")
        (listens,), report = read_listens([path], columns=columns, on_bad_rows="skip")
        assert pairs(listens) == [(1, "A — Intro"), (1, "B — Intro"), (2, "A — Intro")]
        assert (report.skipped, report.several_artists) == (1, 0)
        (_, report) = read_listens([path], columns=Columns("user", "title", artist="artist"))
        assert report.several_artists == 1

    def test_a_column_to_fall_back_on(self, tmp_path):
        path = tmp_path / "a.tsv"
        path.write_text("user\tmbid\tartist\tname\n1\tm1\tA\tX\n1\t \tA\tY\n2\t\t\tZ\n")
        with pytest.raises(UserError, match=r":3: item is empty.*columns.item='FIRST \| SECOND'"):
            read_one(path, columns=Columns("user", "mbid"))
        listens = read_one(path, columns=Columns("user", "mbid | artist + name | name"))
        assert pairs(listens) == [(1, "m1"), (1, "A — Y"), (2, "Z")]

    @pytest.mark.parametrize("name", ["a + ", " | b", "a |  + b"])
    def test_half_a_name_is_refused(self, tmp_path, name):
        path = tmp_path / "a.csv"
        path.write_text("user,a,b\n1,2,3\n")
        with pytest.raises(
            UserError, match=r"the column of item is .*, expected names on both sid"
        ):
            read_one(path, columns=Columns("user", name))


def test_a_row_where_names_should_be_is_not_shown(tmp_path):
    path = tmp_path / "a.csv"
    for row in ("anna,192.0.2.7,x", "anna,ben@example.org,x", "anna,2024-01-01 10:00,x", "a,7,x"):
        path.write_text(f"{row}\n")
        with pytest.raises(UserError, match=r"config.data.header=False") as error:
            read_one(path)
        said = str(error.value).replace(str(path), "")  # whose name may hold a 7
        assert row.split(",")[1] not in said
    path.write_text("track,artist\n")
    with pytest.raises(UserError, match=r"expected one of 'track', 'artist'"):
        read_one(path)
