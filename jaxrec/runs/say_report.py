"""What is said of a history that was read: what it holds, what was left out, and what is odd."""

from collections.abc import Sequence

from jaxrec.data.ids import IdMap
from jaxrec.data.read_report import Portrait, ReadReport
from jaxrec.data.times import shown_moment
from jaxrec.errors import UserError
from jaxrec.report.console import Console

# From where a figure is odd enough to warn of.
_TOP_ITEM_SHARE = 0.1  # of the rows that name one song, where there are many songs
_MANY_ITEMS = 50
_TIED_SHARE = 0.5
_IDENTICAL_SHARE = 0.01
_SEVERAL_SHARE = 0.01
_YEAR = 365 * 86_400


def say_report(report: ReadReport, portraits: Sequence[Portrait], console: Console) -> None:
    """Says what was read: of a history, or of a train and a test part."""
    for note in report.notes:
        console.note(note)
    left_out = {
        "without plays": report.zero_plays,
        "that are no songs": report.no_item,
        "with the publisher's known defects": report.defects,
        "by config.data.keep and drop, or as dislikes": report.filtered,
        "against their song, by config.data.against": report.against,
        "shorter than config.data.min_ms_played": report.too_short,
        "rated below config.data.min_rating": report.low_rating,
        "before config.data.time_from": report.before_window,
        "from config.data.time_until on": report.after_window,
        "identical to another": report.identical,
    }
    told = ", ".join(f"{count:,} {why}" for why, count in left_out.items() if count)
    console.note(f"read {report.rows:,} rows" + (f"; left out {told}" if told else ""))
    if report.skipped:
        console.warning(f"skipped {report.skipped:,} bad rows, the first of them:")
        for example in report.examples:
            console.warning(example)
    for name, portrait in zip(("", "test: "), portraits, strict=False):
        console.note(name + _describe(portrait))
        for oddity in _oddities(portrait, report):
            console.warning(name + oddity)
    _say_matches(report, portraits[0], console)


def check_several_users(users: IdMap) -> None:
    """Refuses to learn from one user alone.

    Raises:
      UserError: there is one; the message says how to be recommended to.
    """
    if len(users) == 1:
        raise UserError(
            f"the history has one listener alone, {users.label(0)!r}, and what songs go "
            "together is learnt from many; expected a history of several listeners: put yours into "
            "one folder with other people's, a folder or file for each (docs/data.md), or beside a "
            "public history with the same ids, then train on all and recommend to this one with "
            "recommend --users"
        )


def _describe(portrait: Portrait) -> str:
    text = (
        f"{portrait.listens:,} listens of {portrait.users:,} listeners and {portrait.items:,} songs"
    )
    if portrait.first is not None and portrait.last is not None:
        text += f", {shown_moment(portrait.first)} to {shown_moment(portrait.last)}"
        text += f"; {portrait.tied_share:.0%} at a time that the listener has twice"
        text += f", {portrait.identical:,} identical rows, {portrait.at_zero:,} at time 0"
    item, share = portrait.top_item
    text += f"; most often {item!r} ({share:.1%})"
    return text


def _oddities(portrait: Portrait, report: ReadReport) -> list[str]:
    """What may have been read wrong, with the way to mend it."""
    found = [
        f"{rows:,} rows have the {'listener' if role == 'user' else 'song'} {word!r}, which looks "
        f"like a word for nothing; config.data.drop='COLUMN in {word}' leaves them out"
        for role, word, rows in portrait.words
    ]
    if portrait.at_zero:
        found.append(
            f"{portrait.at_zero:,} rows are at time 0 (1970-01-01), which mostly means none; "
            "config.data.time_from=1971 leaves them out"
        )
    times = report.times
    if portrait.last is not None and 0 < portrait.last < 2 * _YEAR and times and times.numbers:
        found.append(
            f"all times lie between {shown_moment(portrait.first or 0)} and "
            f"{shown_moment(portrait.last)}; if they are no counts of seconds, "
            "config.data.time_format says what they are (such as '%Y%m%d')"
        )
    if portrait.identical > _IDENTICAL_SHARE * portrait.listens:
        found.append(
            f"{portrait.identical:,} rows repeat listener, song and time of another; "
            "config.data.identical_rows=drop counts each once"
        )
    if portrait.first is not None and portrait.tied_share > _TIED_SHARE:
        found.append(
            f"{portrait.tied_share:.0%} of the rows have a time that their listener has twice: "
            "such times are no order"
        )
    item, share = portrait.top_item
    if share > _TOP_ITEM_SHARE and portrait.items > _MANY_ITEMS:
        found.append(
            f"{share:.0%} of the rows are of one song, {item!r}; if it stands for something else, "
            "config.data.drop leaves it out"
        )
    return found


def _say_matches(report: ReadReport, portrait: Portrait, console: Console) -> None:
    if report.unmatched and report.unmatched < portrait.listens:
        console.note(
            f"{report.unmatched:,} rows have no song's id and match none by artist and title; "
            "their artist and title are the id"
        )
    if report.several_artists > max(0, _SEVERAL_SHARE * portrait.items):
        console.warning(
            f"{report.several_artists:,} songs' ids have several artists; an id of both is made "
            "with config.data.columns.item='ARTIST + TITLE'"
        )
    elif report.several_artists:
        console.note(f"{report.several_artists:,} songs' ids have several artists")
