"""Errors in the words of the Python API, without flags and groups that a caller never sees."""

import contextlib
import re
from collections.abc import Iterator

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
