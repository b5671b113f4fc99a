"""Errors in the words of the Python API, without flags and groups that a caller never sees."""

import contextlib
import re
from collections.abc import Iterator
from typing import Any, get_args

import numpy as np

from jaxrec.data.options import SeenRule
from jaxrec.errors import UserError


@contextlib.contextmanager
def plain_errors(*, workdir: str = "workdir") -> Iterator[None]:
    """Rewrites what a mistake is called: `--workdir=x` is workdir=x, `config.lr` is lr.

    Args:
      workdir: what the caller's argument for the run's folder is called.
    """
    try:
        yield
    except UserError as error:
        message = re.sub(r"(?<!\S)--workdir\b", workdir, str(error))
        raise UserError(plain(message)) from error


def plain(message: str) -> str:
    """A message without `--` before arguments and `config.` before fields."""
    message = re.sub(r"(?<!\S)--(?=\w)", "", message)
    return re.sub(r"\bconfig\.(?=[a-z_]+\b)(?!json)", "", message)


def check_asked(users: object, histories: object, k: object, seen: object) -> None:
    """Raises UserError unless lists can be asked for so."""
    if users is not None and histories is not None:
        raise UserError("users and histories are both given; expected one of them")
    check_length(k)
    check_seen(seen)


def check_length(k: Any) -> None:
    """Raises UserError unless it is a list's length."""
    if isinstance(k, bool) or not isinstance(k, int | np.integer) or k < 1:
        raise UserError(f"k is {k!r}; expected a whole number of at least 1")


def check_per_artist(most: Any, *, any_artist: bool) -> None:
    """Raises UserError unless it is None, or a number of items where artists are known."""
    if most is None:
        return
    if not any_artist:
        raise UserError(
            f"per_artist is {most!r} and no item's name tells of an artist; expected None, or "
            "listens that were read with a column of artists"
        )
    if isinstance(most, bool) or not isinstance(most, int | np.integer) or most < 1:
        raise UserError(f"per_artist is {most!r}; expected None or a whole number of at least 1")


def check_seen(seen: object) -> None:
    """Raises UserError unless it is a `SeenRule`."""
    if seen not in get_args(SeenRule):
        raise UserError(f"seen is {seen!r}; expected one of {', '.join(get_args(SeenRule))}")
