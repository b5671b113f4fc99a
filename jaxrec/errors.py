"""The two ways a command can end badly, told apart by exit status."""


class UserError(Exception):
    """A mistake the user can mend: a bad value, file or name. One clear line, exit status 2.

    The message names the place (field and value, or file and line), says what is wrong
    and what was expected.
    """


class RunError(Exception):
    """A run that failed on its own, such as a loss that became NaN. One line, exit status 1."""


def printable(text: str) -> str:
    """One line without control characters, which data could smuggle to a terminal."""
    return "".join(c if c.isprintable() else " " for c in text)
