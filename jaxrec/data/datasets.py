"""Known public datasets: where they come from, how they are read, how they are recognised.

Sizes and SHA-256s stand here only where a published list or a file at hand gives them. Where there
are none, the download says that it is unverified and what SHA-256 it has.
"""

import types
from collections.abc import Mapping
from pathlib import Path

from jaxrec.data.dataset import Dataset, Download, File, Part
from jaxrec.data.meaning import Columns, FixedUser, Layout, Names, Source


def _one(
    file: str, columns: Columns, layout: Layout, *, defects: str | None = None
) -> tuple[tuple[Part, ...], ...]:
    """A history that is one file."""
    return ((Part(file, Source((), columns, layout=layout, defects=defects)),),)


YAMBDA = "https://huggingface.co/datasets/yandex/yambda/resolve/main/flat"
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
        histories=tuple(
            (Part(file, Source((), layout=Layout("edges"))),) for file in ("train.txt", "test.txt")
        ),
        fingerprints=fingerprints,
    )


def _movielens(
    scale: str,
    *,
    ratings: str,
    movies: str,
    columns: Columns,
    layout: Layout,
    names: Names,
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
        histories=_one(ratings, columns, layout),
        names=(movies, names),
    )


_NOWHERE = Path()
# No quotes: names of artists have some.
_TABS = Layout("tsv", header=False, delimiter="\t", quoted=False)
_BY_POSITION = Columns("0", "1", timestamp="3")
_MOVIELENS_COLUMNS = Columns("userId", "movieId", timestamp="timestamp")
_MOVIELENS_NAMES = Names(_NOWHERE, ("movieId", "title"), Layout("csv"))


def _yambda(scale: str, limit: int, *, listens_alone: bool = False) -> Dataset:
    """A Yambda dataset: heard by half or liked is learnt from, the rest and dislikes are known.

    Its benchmark goes by listens alone.
    """
    columns = Columns("uid", "item_id", timestamp="timestamp")
    layout = Layout("parquet")
    parts: tuple[Part, ...] = (
        Part(
            "listens.parquet",
            Source((), columns, layout=layout, learnt_if="played_ratio_pct >= 50"),
        ),
        Part("likes.parquet", Source((), columns, layout=layout)),
        Part("dislikes.parquet", Source((), columns, layout=layout, learnt=False)),
    )
    name, what = f"yambda-{scale}", "listens, likes and dislikes"
    if listens_alone:
        name, what, parts = f"{name}-listens", "listens", parts[:1]
    return Dataset(
        name=name,
        title=f"Yambda {scale.upper()}, {what} of Yandex Music",
        homepage="https://huggingface.co/datasets/yandex/yambda",
        license="Apache 2.0",
        downloads=tuple(
            Download(f"{YAMBDA}/{scale}/{part.file}", (File(part.file),), limit=limit)
            for part in parts
        ),
        histories=(parts,),
    )


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
        histories=_one(
            "user_artists.dat",
            Columns("userID", "artistID", plays="weight"),
            Layout("tsv", quoted=False),
        ),
        names=("artists.dat", Names(_NOWHERE, ("id", "name"), Layout("tsv", quoted=False))),
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
        histories=tuple(
            (Part(file, Source((), Columns("0", "1", plays="2"), layout=_TABS)),)
            for file in ("train.txt", "test.txt")
        ),
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
        # Many rows have no artist or track id, all have an artist's name. Some titles hold tabs.
        histories=_one("listens.tsv", Columns("0", "3", timestamp="1"), _TABS),
        ragged=True,
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
        # Some rows have no artist's name, and some have a date where the user should be.
        histories=_one(
            "listens.tsv",
            Columns("0", "2", plays="3"),
            _TABS,
            defects='2 is empty or 0 in "sep 20, 2008" "dec 27, 2008"',
        ),
        ragged=True,
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
        columns=_BY_POSITION,
        layout=_TABS,
        names=Names(
            _NOWHERE,
            ("0", "1"),
            Layout("csv", header=False, delimiter="|", quoted=False, encoding="latin-1"),
        ),
        size=4_924_029,
        sha256="50d2a982c66986937beb9ffb3aa76efe955bf3d5c6b761f4e3a7cd717c6a3229",
    ),
    _movielens(
        "1m",
        ratings="ratings.dat",
        movies="movies.dat",
        columns=_BY_POSITION,
        layout=Layout("csv", header=False, delimiter="::", quoted=False),
        names=Names(
            _NOWHERE,
            ("0", "1"),
            Layout("csv", header=False, delimiter="::", quoted=False, encoding="latin-1"),
        ),
        size=5_917_549,
        sha256="a6898adb50b9ca05aa231689da44c217cb524e7ebd39d264c56e2832f2c54e20",
    ),
    *(
        _movielens(
            scale,
            ratings="ratings.csv",
            movies="movies.csv",
            columns=_MOVIELENS_COLUMNS,
            layout=Layout("csv"),
            names=_MOVIELENS_NAMES,
            size=size,
            sha256=sha256,
            limit=2 << 30,
        )
        for scale, size, sha256 in (
            (
                "20m",
                198_702_078,
                "96f243c338a8665f6bcc89c53edf6ee39162a846940de6b7c8c48aeada765ff3",
            ),
            (
                "25m",
                261_978_986,
                "8b21cfb7eb1706b4ec0aac894368d90acf26ebdfb6aced3ebd4ad5bd1eb9c6aa",
            ),
            ("32m", None, None),
        )
    ),
    _yambda("50m", 8 << 30),
    _yambda("500m", 64 << 30),
    _yambda("5b", 512 << 30),
    _yambda("50m", 8 << 30, listens_alone=True),
    _yambda("500m", 64 << 30, listens_alone=True),
    _yambda("5b", 512 << 30, listens_alone=True),
    Dataset(
        name="taste-profile",
        title="the Echo Nest's Taste Profile, plays by song",
        homepage="http://millionsongdataset.com/tasteprofile/",
        license="unknown",
        downloads=(
            Download(
                "http://millionsongdataset.com/tasteprofile/",
                (File("train_triplets.txt"),),
                by_hand=True,
            ),
        ),
        histories=_one("train_triplets.txt", Columns("0", "1", plays="2"), _TABS),
    ),
    Dataset(
        name="30music",
        title="30Music, plays of songs with their times",
        homepage="http://recsys.deib.polimi.it/datasets/",
        license="unknown",
        downloads=(
            Download(
                "http://recsys.deib.polimi.it/datasets/",
                (File("events.idomaar", "relations/events.idomaar"),),
                by_hand=True,
            ),
        ),
        histories=_one(
            "events.idomaar",
            Columns("user", "track", timestamp="timestamp"),
            Layout("idomaar"),
        ),
    ),
    Dataset(
        name="mlhd",
        title="the Music Listening Histories Dataset (MLHD or MLHD+), a file per listener",
        homepage="https://musicbrainz.org/doc/MLHD+",
        license="unknown",
        downloads=(Download("https://musicbrainz.org/doc/MLHD+", (), by_hand=True),),
        # When, artist, release, recording; some plays are of no known recording.
        histories=(
            (
                Part(
                    "",
                    Source(
                        (),
                        Columns("user", "3", timestamp="0"),
                        FixedUser(source="file"),
                        _TABS,
                        no_item="3 is empty",
                    ),
                ),
            ),
        ),
    ),
)
DATASETS: Mapping[str, Dataset] = types.MappingProxyType({one.name: one for one in _ALL})
