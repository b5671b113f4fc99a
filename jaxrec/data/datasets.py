"""Known public datasets: where they come from, how they are read, how they are recognised.

Sizes and SHA-256s stand here only where a published list or a file at hand gives them. Where there
are none, the download says that it is unverified and what SHA-256 it has.
"""

import dataclasses
import types
from collections.abc import Mapping, Sequence
from typing import Any

from jaxrec.data.interactions import Interactions
from jaxrec.data.listens import Columns


@dataclasses.dataclass(frozen=True)
class File:
    """A file of a dataset.

    Attributes:
      name: what it is called in the cache folder.
      member: its path in the downloaded archive, None if the download is the file itself.
      sha256: SHA-256 in hexadecimal, None where unknown.
    """

    name: str
    member: str | None = None
    sha256: str | None = None


@dataclasses.dataclass(frozen=True)
class Download:
    """An address and the files that come from it.

    Attributes:
      url: the address; of an archive if its files have members.
      files: the files to keep.
      size: bytes of the download, None where unknown.
      sha256: SHA-256 of the download in hexadecimal, None where unknown.
      limit: most bytes to accept, of the download and of what is unpacked.
    """

    url: str
    files: tuple[File, ...]
    size: int | None = None
    sha256: str | None = None
    limit: int = 1 << 28


@dataclasses.dataclass(frozen=True, eq=False)
class Dataset:
    """A public dataset.

    Attributes:
      name: the name that `config.data.source` takes.
      title: what to call it in a sentence.
      homepage: where it is described.
      license: what may be done with it, in a few words; its own text decides.
      downloads: where it comes from.
      listens: names of the files with listens: one, or a train and a test part.
      names: name of the file with the items' names, if there is one.
      reader: how `read_listens` reads it, apart from the paths.
      fingerprints: what `aggregate(part).fingerprint()` gives for each of the files with listens;
        empty where unknown.
    """

    name: str
    title: str
    homepage: str
    license: str
    downloads: tuple[Download, ...]
    listens: tuple[str, ...]
    names: str | None
    reader: Mapping[str, Any]
    fingerprints: tuple[str, ...] = ()

    @property
    def files(self) -> list[str]:
        """The names of all its files."""
        return [file.name for part in self.downloads for file in part.files]

    def recognises(self, parts: Sequence[Interactions]) -> bool | None:
        """Whether the parts are the dataset's known interactions; None if nothing is known."""
        if not self.fingerprints:
            return None
        return tuple(part.fingerprint() for part in parts) == self.fingerprints


GROUPLENS = "https://files.grouplens.org/datasets"
LIGHTGCN = "https://raw.githubusercontent.com/gusye1234/LightGCN-PyTorch/master/data"
LASTFM_MTG = "https://zenodo.org/records/6090214/files"
MOVIELENS_LICENSE = "research use; no redistribution and no commercial use without permission"
LASTFM_LICENSE = "non-commercial use"
_LASTFM_1K = "userid-timestamp-artid-artname-traid-traname.tsv"
_LASTFM_360K = "usersha1-artmbid-artname-plays.tsv"


def _lightgcn(name: str, title: str, license: str, *fingerprints: str) -> Dataset:
    """A dataset in the split of the LightGCN paper (He et al., SIGIR 2020)."""
    return Dataset(
        name=name,
        title=title,
        homepage="https://github.com/gusye1234/LightGCN-PyTorch",
        license=license,
        downloads=tuple(
            Download(f"{LIGHTGCN}/{name}/{file}", (File(file),))
            for file in ("train.txt", "test.txt")
        ),
        listens=("train.txt", "test.txt"),
        names=None,
        reader={"format": "edges"},
        fingerprints=fingerprints,
    )


def _movielens(
    scale: str,
    *,
    ratings: str,
    movies: str,
    reader: Mapping[str, Any],
    size: int | None = None,
    sha256: str | None = None,
    limit: int = 1 << 28,
) -> Dataset:
    """A MovieLens dataset; every rating counts as one listen."""
    stem = f"ml-{scale}"
    files = (File(ratings, f"{stem}/{ratings}"), File(movies, f"{stem}/{movies}"))
    return Dataset(
        name=f"movielens-{scale}",
        title=f"MovieLens {scale.upper()}",
        homepage=f"https://grouplens.org/datasets/movielens/{scale}/",
        license=MOVIELENS_LICENSE,
        downloads=(Download(f"{GROUPLENS}/movielens/{stem}.zip", files, size, sha256, limit),),
        listens=(ratings,),
        names=movies,
        reader=reader,
    )


_BY_POSITION = Columns(user="0", item="1", timestamp="3")
_MOVIELENS_CSV: dict[str, Any] = {
    "format": "csv",
    "columns": Columns(user="userId", item="movieId", timestamp="timestamp"),
    "names_format": "csv",
    "names_columns": ("movieId", "title"),
}

_ALL = (
    Dataset(
        name="lastfm-2k",
        title="Last.fm 2K (HetRec 2011)",
        homepage="https://grouplens.org/datasets/hetrec-2011/",
        license=LASTFM_LICENSE,
        downloads=(
            Download(
                f"{GROUPLENS}/hetrec2011/hetrec2011-lastfm-2k.zip",
                (
                    File(
                        "user_artists.dat",
                        "user_artists.dat",
                        "001400dc3c7d2667fca6e4ea6dc6acc31a9dd28ad5cd0f74cea988c019934d3b",
                    ),
                    File(
                        "artists.dat",
                        "artists.dat",
                        "c173881362c6b28551368fecb3c0be5a6a30a6cd859e1f5775413dfe46d48648",
                    ),
                ),
            ),
        ),
        listens=("user_artists.dat",),
        names="artists.dat",
        reader={
            "format": "tsv",
            "columns": Columns(user="userID", item="artistID", plays="weight"),
            "names_format": "tsv",
            "names_columns": ("id", "name"),
        },
        fingerprints=("a970748e7f16b95686e0c3a40099cd9922cb48ebfed48c187e0e7c1a3da4c11b",),
    ),
    Dataset(
        name="lastfm-lightgcn",
        title="Last.fm in the split of LightGCN-PyTorch",
        homepage="https://github.com/gusye1234/LightGCN-PyTorch",
        license=LASTFM_LICENSE,
        downloads=(
            Download(
                f"{LIGHTGCN}/lastfm/data1.txt",
                (File("train.txt"),),
                579_727,
                "c82af3228cbbda2f55a39244de09ed93292894f1d0d9f1908ebb57e27598fded",
            ),
            Download(
                f"{LIGHTGCN}/lastfm/test1.txt",
                (File("test.txt"),),
                144_867,
                "de4417c0e6123284ce59a0934bcf5288ec1ec8774a18a1eef453c9952dfa48f9",
            ),
        ),
        listens=("train.txt", "test.txt"),
        names=None,
        reader={
            "format": "tsv",
            "header": False,
            "columns": Columns(user="0", item="1", plays="2"),
        },
        fingerprints=(
            "d60d87cbc7ecc2696d86c1871b1a7218bf0c6cef491b343c57f26c994fdd984b",
            "feb3b6ebde0dfce897e811cc44c1e6603649954fa3ca4fad7624b77ee9bacc19",
        ),
    ),
    Dataset(
        name="lastfm-1k",
        title="Last.fm 1K users, every listen with its time, by artist",
        homepage="http://ocelma.net/MusicRecommendationDataset/lastfm-1K.html",
        license=LASTFM_LICENSE,
        downloads=(
            Download(
                f"{LASTFM_MTG}/lastfm-dataset-1K.tar.gz",
                (File("listens.tsv", f"lastfm-dataset-1K/{_LASTFM_1K}"),),
                limit=4 << 30,
            ),
        ),
        listens=("listens.tsv",),
        names=None,
        # Many rows have no artist or track id, all have an artist's name.
        reader={
            "format": "tsv",
            "header": False,
            "columns": Columns(user="0", item="3", timestamp="1"),
        },
    ),
    Dataset(
        name="lastfm-360k",
        title="Last.fm 360K users, plays by artist",
        homepage="http://ocelma.net/MusicRecommendationDataset/lastfm-360K.html",
        license=LASTFM_LICENSE,
        downloads=(
            Download(
                f"{LASTFM_MTG}/lastfm-dataset-360K.tar.gz",
                (File("listens.tsv", f"lastfm-dataset-360K/{_LASTFM_360K}"),),
                limit=4 << 30,
            ),
        ),
        listens=("listens.tsv",),
        names=None,
        reader={
            "format": "tsv",
            "header": False,
            "columns": Columns(user="0", item="2", plays="3"),
        },
    ),
    _lightgcn(
        "gowalla",
        "Gowalla check-ins in the split of LightGCN",
        "none stated; from SNAP's Gowalla check-ins",
        "d7829d518e5989f61845506d12aff6986133f54bf53a0c16ea72f131d5a4b6a7",
        "4f3ed606348043f2d5a5644f95e721205c699945ca48cd9c471c4bce02e3ca47",
    ),
    _lightgcn(
        "yelp2018",
        "Yelp 2018 in the split of LightGCN",
        "the Yelp dataset's terms: academic use",
    ),
    _lightgcn(
        "amazon-book",
        "Amazon books in the split of LightGCN",
        "none stated; from the Amazon review data",
    ),
    _movielens(
        "100k",
        ratings="u.data",
        movies="u.item",
        reader={
            "format": "tsv",
            "header": False,
            "columns": _BY_POSITION,
            "names_format": "csv",
            "names_header": False,
            "names_delimiter": "|",
            "names_columns": ("0", "1"),
            "names_encoding": "latin-1",
        },
        size=4_924_029,
        sha256="50d2a982c66986937beb9ffb3aa76efe955bf3d5c6b761f4e3a7cd717c6a3229",
    ),
    _movielens(
        "1m",
        ratings="ratings.dat",
        movies="movies.dat",
        reader={
            "format": "csv",
            "delimiter": "::",
            "header": False,
            "columns": _BY_POSITION,
            "quoted": False,
            "names_format": "csv",
            "names_header": False,
            "names_delimiter": "::",
            "names_columns": ("0", "1"),
            "names_encoding": "latin-1",
        },
        size=5_917_549,
        sha256="a6898adb50b9ca05aa231689da44c217cb524e7ebd39d264c56e2832f2c54e20",
    ),
    _movielens(
        "20m",
        ratings="ratings.csv",
        movies="movies.csv",
        reader=_MOVIELENS_CSV,
        size=198_702_078,
        sha256="96f243c338a8665f6bcc89c53edf6ee39162a846940de6b7c8c48aeada765ff3",
        limit=2 << 30,
    ),
    _movielens(
        "25m",
        ratings="ratings.csv",
        movies="movies.csv",
        reader=_MOVIELENS_CSV,
        size=261_978_986,
        sha256="8b21cfb7eb1706b4ec0aac894368d90acf26ebdfb6aced3ebd4ad5bd1eb9c6aa",
        limit=2 << 30,
    ),
    _movielens(
        "32m",
        ratings="ratings.csv",
        movies="movies.csv",
        reader=_MOVIELENS_CSV,
        limit=2 << 30,
    ),
)
DATASETS: Mapping[str, Dataset] = types.MappingProxyType({one.name: one for one in _ALL})
