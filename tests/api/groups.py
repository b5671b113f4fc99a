"""A history of eight users, small enough to see what is right."""

from typing import Any

import pyarrow as pa


def table(**more: list[Any]) -> pa.Table:
    """Two groups of four users who know three of their group's four items each."""
    rows = [
        (f"u{4 * group + user}", f"{'ab'[group]}{item}")
        for group in range(2)
        for user in range(4)
        for item in range(4)
        if item != user
    ]
    columns = {"user": [user for user, _ in rows], "item": [item for _, item in rows]}
    return pa.table(columns | more)
