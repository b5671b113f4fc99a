"""Public datasets by name: yours if you have the files, else from the cache or downloaded."""

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from jaxrec.data.datasets import DATASETS, Dataset, Download
from jaxrec.data.download import DownloadError, Progress, download, unpack
from jaxrec.errors import UserError
from jaxrec.files import cache_folder


def locate(
    name: str,
    *,
    data_path: str | Path | None = None,
    cache_dir: str | Path | None = None,
    say: Callable[[str], None] = lambda line: None,
    progress: Progress | None = None,
) -> tuple[list[Path], dict[str, Any]]:
    """Fetches a dataset and says how to read it.

    Returns:
      The paths of its listens (one, or train and test) and the other arguments of `read_listens`.

    Raises:
      UserError: as `fetch`.
    """
    dataset = find_dataset(name)
    fetched = fetch(name, cache_dir, data_path=data_path, say=say, progress=progress)
    paths = dict(zip(dataset.files, fetched, strict=True))
    settings = dict(dataset.reader)
    if dataset.names is not None:
        settings["names_path"] = paths[dataset.names]
    return [paths[file] for file in dataset.listens], settings


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
      data_path: a folder that has the files already; nothing is downloaded then.
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
    if all(path.is_file() for path in paths):
        return paths
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
            f"config.data.source is {name!r}; expected synthetic, listens, {', '.join(DATASETS)}"
        )
    return DATASETS[name]


def _files_at(dataset: Dataset, folder: Path) -> list[Path]:
    missing = [file for file in dataset.files if not (folder / file).is_file()]
    if missing:
        raise UserError(
            f"config.data.path is {str(folder)!r}, which has no {', '.join(missing)}; expected a "
            f"folder with {_shopping_list(dataset)}"
        )
    return [folder / file for file in dataset.files]


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
        wanted.append(f"{' and '.join(files)} from {part.url}")
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
