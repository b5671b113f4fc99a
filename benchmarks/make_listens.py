"""Writes listens of any number to Parquet without holding them: Zipf-like, by a seed.

A song's share falls as rank^-0.6 and a listener's as rank^-0.4, so that the busiest of 6 million
listeners has some ten thousandth of all listens and the most heard of 2.5 million songs a
quarter of a hundredth. Ids are dealt to the ranks at random, so that no order of theirs helps.
"""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

ROWS_PER_GROUP = 1 << 20
ROWS_PER_FILE = 25_000_000
BEGIN, SECONDS = 1_420_070_400, 10 * 365 * 86_400
PRIME = 2_147_483_647  # ids are multiples of a rank by another number, modulo this prime


def write_listens(folder: Path, *, rows: int, users: int, items: int, seed: int = 0) -> None:
    """Writes `listens-000.parquet` and so on, with the columns user, item and timestamp.

    Args:
      folder: where; it is made.
      rows: how many listens.
      users: of how many listeners at most.
      items: of how many songs at most.
      seed: of what is drawn.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for number, first in enumerate(range(0, rows, ROWS_PER_FILE)):
        count = min(ROWS_PER_FILE, rows - first)
        rng = np.random.default_rng([seed, number])
        path = folder / f"listens-{number:03d}.parquet"
        schema = pa.schema([(name, pa.int64()) for name in ("user", "item", "timestamp")])
        with pq.ParquetWriter(path, schema, compression="snappy") as writer:
            for start in range(0, count, ROWS_PER_GROUP):
                size = min(ROWS_PER_GROUP, count - start)
                columns = {
                    "user": _ids(rng, size, users, 0.4, 48_271),
                    "item": _ids(rng, size, items, 0.6, 69_621),
                    "timestamp": BEGIN + rng.integers(0, SECONDS, size),
                }
                writer.write_table(pa.table(columns, schema=schema))


def _ids(
    rng: np.random.Generator, size: int, count: int, exponent: float, factor: int
) -> np.ndarray:
    """Ids whose share of the draws falls as rank^-exponent: [size] int64."""
    rank = np.floor(count * rng.random(size) ** (1 / (1 - exponent))).astype(np.int64)
    return (rank + 1) * factor % PRIME
