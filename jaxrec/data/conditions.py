"""Conditions on a row's columns, such as "event_type in listen like and played_ratio_pct >= 50".

    CONDITION = COLUMN (in | not in) VALUE VALUE ...
              | COLUMN (== | != | < | <= | > | >=) VALUE
              | COLUMN is [not] empty

`JOINED` says whether a setting joins its conditions by `and` or `or`. A column or value with blanks
or such a word stands in quotes. Values that are numbers on both sides are compared as numbers,
others as text. Of an empty column `!=` and `not in` are met, the other comparisons are not.
"""

import dataclasses
import re

from jaxrec.data.listen_checks import is_empty
from jaxrec.data.rows import shown
from jaxrec.data.times import number
from jaxrec.errors import UserError

JOINED = {
    "keep": "and",
    "drop": "or",
    "against": "or",
    "learnt_if": "and",
    "no_item": "and",
    "defects": "or",
}
_TOKEN = re.compile(r"""\s*(?:"([^"]*)"|'([^']*)'|(==|!=|<=|>=|<|>|=)|([^\s"'<>=!]+))""")
_COMPARISONS = {"==": "=", "=": "=", "!=": "<>", "<": "<", "<=": "<=", ">": ">", ">=": ">="}
_EXAMPLES = {
    "keep": "'event_type in listen like and played_ratio_pct >= 50'",
    "drop": "'event_type == dislike or song is empty'",
    "against": "'event_type == dislike or played_ratio_pct < 25'",
}


@dataclasses.dataclass(frozen=True)
class Condition:
    """One condition.

    Attributes:
      column: the name of the column.
      test: `in`, `not in`, `empty`, `filled`, or a comparison.
      values: what it is compared with.
    """

    column: str
    test: str
    values: tuple[str, ...] = ()


def parse(field: str, text: str | None) -> list[Condition]:
    """The conditions of `keep`, or of `drop` and its like, none where the text is None.

    Raises:
      UserError: it can't be read; the message names the field.
    """
    if text is None:
        return []
    between = JOINED[field]
    found: list[Condition] = []
    tokens = _tokens(field, text)
    while tokens or not found:
        length = next(
            (at for at, (word, bare) in enumerate(tokens) if bare and word == between), len(tokens)
        )
        found.append(_condition(field, text, tokens[:length]))
        if length == len(tokens) - 1:
            raise _unreadable(field, text)
        tokens = tokens[length + 1 :]
    return found


def _tokens(field: str, text: str) -> list[tuple[str, bool]]:
    """The words, and whether each stands without quotes."""
    found, at = [], 0
    text = text.rstrip()
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            raise _unreadable(field, text)
        quoted = match[1] if match[1] is not None else match[2]
        found.append((quoted, False) if quoted is not None else (match[3] or match[4], True))
        at = match.end()
    return found


def _condition(field: str, text: str, tokens: list[tuple[str, bool]]) -> Condition:
    words = [word for word, _ in tokens]
    if len(words) >= 3:
        column, test, *values = words
        if test in _COMPARISONS and len(values) == 1:
            ordered = test not in ("==", "=", "!=")
            if not ordered or _is_number(values[0]):
                return Condition(column, _COMPARISONS[test], tuple(values))
        if test == "in":
            return Condition(column, "in", tuple(values))
        if words[1:3] == ["not", "in"] and len(words) > 3:
            return Condition(column, "not in", tuple(words[3:]))
        if words[1:] == ["is", "empty"]:
            return Condition(column, "empty")
        if words[1:] == ["is", "not", "empty"]:
            return Condition(column, "filled")
    raise _unreadable(field, text)


def _unreadable(field: str, text: str) -> UserError:
    example = _EXAMPLES.get(field, _EXAMPLES["drop"])
    return UserError(f"config.data.{field} is {shown(text)}; expected conditions such as {example}")


def _is_number(text: str) -> bool:
    return re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", text) is not None


def columns_of(field: str, conditions: list[Condition]) -> dict[str, str]:
    """The column of each condition by its key, `keep:0`, `keep:1`, ..."""
    return {f"{field}:{place}": each.column for place, each in enumerate(conditions)}


def to_sql(field: str, conditions: list[Condition]) -> str:
    """SQL: whether the conditions are met, on columns named by key.

    Without conditions those of `keep` and `learnt_if` are met, the others are not.
    """
    if not conditions:
        return "true" if field in ("keep", "learnt_if") else "false"
    tests = [_to_sql(f'"{field}:{place}"', each) for place, each in enumerate(conditions)]
    return "(" + f" {JOINED[field]} ".join(tests) + ")"


def _to_sql(column: str, condition: Condition) -> str:
    if condition.test in ("empty", "filled"):
        return f"({'NOT ' if condition.test == 'filled' else ''}{is_empty(column)})"
    if condition.test in ("in", "not in", "=", "<>"):
        met = " OR ".join(_equals(column, value) for value in condition.values)
    else:
        met = f"{number(column)} {condition.test} {condition.values[0]}::DOUBLE"
    negated = condition.test in ("not in", "<>")
    return f"({'NOT ' if negated else ''}coalesce(NOT {is_empty(column)} AND ({met}), false))"


def _equals(column: str, value: str) -> str:
    text = "'" + value.replace("'", "''") + "'"
    if value.lower() in ("true", "false"):
        return f"(lower({column}) = lower({text}))"
    if _is_number(value):
        return f"({column} = {text} OR coalesce({number(column)} = {value}::DOUBLE, false))"
    return f"({column} = {text})"
