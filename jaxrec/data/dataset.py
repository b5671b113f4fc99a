"""What is known of a public dataset: where it comes from, how it is read and recognised."""

import dataclasses
from collections.abc import Sequence

from jaxrec.data.interactions import Interactions
from jaxrec.data.meaning import Names, Source


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
      url: the address, of an archive if its files have members; of a page where `by_hand`.
      files: the files to keep.
      size: bytes of the download, None where unknown.
      sha256: SHA-256 of the download in hexadecimal, None where unknown.
      limit: most bytes to accept, of the download and of what is unpacked.
      by_hand: whether no address gives the file itself, so that a person has to fetch it.
    """

    url: str
    files: tuple[File, ...]
    size: int | None = None
    sha256: str | None = None
    limit: int = 1 << 28
    by_hand: bool = False


@dataclasses.dataclass(frozen=True)
class Part:
    """Files of a dataset that are read alike.

    Attributes:
      file: the name of the file; "" for all files of a folder.
      source: how it is read, apart from where it lies.
    """

    file: str
    source: Source


@dataclasses.dataclass(frozen=True, eq=False)
class Dataset:
    """A public dataset.

    Attributes:
      name: the name that `config.data.source` takes.
      title: what to call it in a sentence.
      homepage: where it is described.
      license: what may be done with it, in a few words, or unknown; its own text decides.
      downloads: where it comes from; those without an address are fetched by hand.
      histories: the parts of its history: of one, or of a train and a test history.
      names: the file with the items' names, and how it is read.
      ragged: whether rows of its files are known to be broken, so that bad rows are left out and
        counted.
      fingerprints: what `aggregate(part).fingerprint()` gives for each history; empty where it is
        unknown.
    """

    name: str
    title: str
    homepage: str
    license: str
    downloads: tuple[Download, ...]
    histories: tuple[tuple[Part, ...], ...]
    names: tuple[str, Names] | None = None
    ragged: bool = False
    fingerprints: tuple[str, ...] = ()

    @property
    def files(self) -> list[str]:
        """The names of all its files; none for a dataset that is a folder of any."""
        return [file.name for part in self.downloads for file in part.files]

    def recognises(self, parts: Sequence[Interactions]) -> bool | None:
        """Whether the parts are the dataset's known interactions; None if nothing is known."""
        if not self.fingerprints:
            return None
        return tuple(part.fingerprint() for part in parts) == self.fingerprints
