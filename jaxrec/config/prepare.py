"""The fields of `config.prepare`: what the preparation of data larger than memory may take."""

import dataclasses

from jaxrec.config.fields import setting


@dataclasses.dataclass(frozen=True, kw_only=True)
class PrepareConfig:
    """What `prepare` may take of the machine; the prepared data don't depend on it."""

    memory_mb: int = setting(
        4096, "MiB of memory that the database may hold, and then a partition", minimum=64
    )
    temp_folder: str | None = setting(
        None, "where the database puts what memory can't hold; without it, the output's folder"
    )
    above_mb: float = setting(
        2048.0,
        "MiB of your own files from which on other commands prepare them first, once, in the "
        "cache; 0 is never",
        minimum=0,
    )
