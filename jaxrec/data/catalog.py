"""Public datasets by name: yours if you have the files, else from the cache or downloaded."""

import dataclasses
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from jaxrec.data.dataset import Dataset, Download, File
from jaxrec.data.datasets import DATASETS
from jaxrec.data.download import DownloadError, Progress, download, unpack
from jaxrec.data.exports import SERVICES
from jaxrec.data.inputs import PACKED
from jaxrec.data.meaning import Names, Source
from jaxrec.errors import UserError
from jaxrec.files import cache_folder


@dataclasses.dataclass(frozen=True)
class Located:
    """A dataset at hand.

    Attributes:
      dataset: which one.
      histories: the sources of each of its histories.
      names: the table of the items' names, if it has one.
    """

    dataset: Dataset
    histories: list[list[Source]]
    names: Names | None


def locate(
    name: str,
    *,
    data_path: str | Path | None = None,
    cache_dir: str | Path | None = None,
    say: Callable[[str], None] = lambda line: None,
    progress: Progress | None = None,
) -> Located:
    """Fetches a dataset and says how to read it.

    Raises:
      UserError: as `fetch`.
    """
    dataset = find_dataset(name)
    fetched = fetch(name, cache_dir, data_path=data_path, say=say, progress=progress)
    paths = dict(zip(dataset.files, fetched, strict=True))
    if data_path is not None:  # all files below it, where the dataset has no names for them
        paths[""] = Path(data_path)
    histories = [
        [dataclasses.replace(part.source, files=paths[part.file]) for part in history]
        for history in dataset.histories
    ]
    names = None
    if dataset.names is not None:
        file, layout = dataset.names
        names = dataclasses.replace(layout, path=paths[file])
    return Located(dataset, histories, names)


def fetch(
    name: str,
    cache_dir: str | Path | None = None,
    *,
    data_path: str | Path | None = None,
    say: Callable[[str], None] = lambda line: None,
    progress: Progress | None = None,
    timeout: float = 30.0,
) -> list[Path]:
    """Makes the files of a dataset available: yours, those in the cache, or downloaded.

    Args:
      name: a name of `DATASETS`.
      cache_dir: folder for downloads, in a folder per dataset; None for `cache_folder()`.
      data_path: a folder that has the files already, under their names here or those that they
        are published under, compressed or not; or the one file that the dataset has. Nothing is
        downloaded then.
      say: called with lines for the user: what is downloaded, and what is unverified.
      progress: shows how far each download is.
      timeout: seconds without an answer after which a download is given up.

    Returns:
      The paths, in the order of `Dataset.files`.

    Raises:
      UserError: unknown dataset, files missing in `data_path`, a failed or damaged download, or a
        cache folder that can't be written. The cache is then as it was.
    """
    dataset = find_dataset(name)
    if data_path is not None:
        return _files_at(dataset, Path(data_path))
    cache = cache_folder() if cache_dir is None else Path(cache_dir)
    folder = cache / name
    paths = [folder / file for file in dataset.files]
    if paths and all(path.is_file() for path in paths):
        return paths
    by_hand = [part for part in dataset.downloads if part.by_hand]
    if by_hand:
        raise UserError(
            f"config.data.source is {name!r}, which can't be downloaded by itself; expected "
            f"{_shopping_list(dataset)} in a folder that config.data.path names"
        )
    try:
        cache.mkdir(parents=True, exist_ok=True)
        # Beside the final place, so that moving is a rename; gone at the end of the block.
        with tempfile.TemporaryDirectory(prefix=f".{name}.", dir=cache) as staging:
            for part in dataset.downloads:
                _fetch_part(dataset, part, Path(staging), say, progress, timeout)
            folder.mkdir(exist_ok=True)
            for path in paths:
                os.replace(Path(staging, path.name), path)
    except OSError as error:
        raise UserError(
            f"{error.filename or cache}: {error.strerror or error}; expected a cache folder that "
            "can be written (JAXREC_CACHE names another)"
        ) from error
    return paths


def find_dataset(name: str) -> Dataset:
    """The dataset of this name.

    Raises:
      UserError: there is none.
    """
    if name not in DATASETS:
        raise UserError(
            f"config.data.source is {name!r}; expected synthetic, listens, "
            f"{', '.join((*SERVICES, *DATASETS))}"
        )
    return DATASETS[name]


def _files_at(dataset: Dataset, folder: Path) -> list[Path]:
    if not dataset.files:
        return []
    files = [file for part in dataset.downloads for file in part.files]
    if folder.is_file() and len(files) == 1:
        return [folder]
    found = [_published(folder, file) for file in files]
    missing = [file.name for file, path in zip(files, found, strict=True) if path is None]
    if missing:
        raise UserError(
            f"config.data.path is {str(folder)!r}, which has no {', '.join(missing)}; expected a "
            f"folder with {_shopping_list(dataset)}"
        )
    return [path for path in found if path is not None]


def _published(folder: Path, file: File) -> Path | None:
    """A file by its name here or as it is published, there or below; None where it isn't."""
    names = [file.name] if file.member is None else [file.name, file.member.rpartition("/")[2]]

    def candidates() -> Iterator[Path]:
        for name in names:
            yield folder / name
        for name in names:
            for ending in ("", *PACKED):
                yield from sorted(folder.rglob(f"{name}{ending}"))

    return next((path for path in candidates() if path.is_file()), None)


def _shopping_list(dataset: Dataset) -> str:
    """Each file and where it comes from, in a line."""
    wanted = []
    for part in dataset.downloads:
        files = [
            file.name
            if file.member is None or file.member.endswith(f"/{file.name}")
            else f"{file.name} ({file.member})"
            for file in part.files
        ]
        wanted.append(f"{' and '.join(files) or 'the files of its listeners'} from {part.url}")
    return ", ".join(wanted)


def _fetch_part(
    dataset: Dataset,
    part: Download,
    folder: Path,
    say: Callable[[str], None],
    progress: Progress | None,
    timeout: float,
) -> None:
    """Puts the files of one download into the folder."""
    say(f"downloading {part.url}")
    packed = part.files[0].member is not None
    target = folder / (part.url.rsplit("/", 1)[-1] if packed else part.files[0].name)
    try:
        found = download(
            part.url,
            target,
            size=part.size,
            sha256=part.sha256,
            limit=part.limit,
            timeout=timeout,
            progress=progress,
        )
        verified = part.sha256 is not None
        if packed:
            wanted = {str(file.member): folder / file.name for file in part.files}
            unpacked = unpack(target, wanted, limit=part.limit)
            for file in part.files:
                its = unpacked[str(file.member)]
                if file.sha256 not in (None, its):
                    raise DownloadError(
                        f"the SHA-256 of its {file.member} is {its}, expected {file.sha256}"
                    )
            verified = verified or all(file.sha256 is not None for file in part.files)
    except DownloadError as error:
        raise UserError(
            f"can't download {part.url}: {error}; without it, put {_shopping_list(dataset)} into a "
            "folder and set config.data.path to that"
        ) from error
    if not verified:
        say(f"{part.url} is unverified: no SHA-256 of it is known here; it has {found}")
