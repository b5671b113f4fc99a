"""The comparison's tables in Markdown."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.tables import digits, markdown_table, paired_ratios, show, summarise
from jaxrec.files import replacing

Entry = Mapping[str, Any]


def write_comparison(report: Mapping[str, Any], path: Path) -> None:
    """Writes all tables of a report of `benchmarks.compare`, whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_text(comparison(report), encoding="utf-8")


def comparison(report: Mapping[str, Any]) -> str:
    """All tables of a report."""
    machine, settings, data = report["machine"], report["settings"], report["data"]
    lines = [
        "# jaxrec beside its peers\n",
        f"{report['date']} · {machine['processor']}, {machine['cores']} cores, "
        f"{machine['memory_gb']} GB · {machine['system']} · load average at the start "
        f"{machine['load_average_at_start']}\n",
        f"{data['users']:,} users, {data['items']:,} items, {data['train']:,} training and "
        f"{data['test']:,} test pairs; batch {settings['batch']:,}, {settings['layers']} layers, "
        f"{settings['dim']} dimensions; rounds: {settings['rounds']}.\n",
        "Each figure is the median over the rounds (least to greatest). A ratio is the median of "
        "the rounds' own ratios to jaxrec, the first row: above 1 is slower.\n",
    ]
    tables: dict[str, Callable[[Sequence[Entry], Mapping[str, Any]], str]] = {
        "train": _train,
        "product": _product,
        "evaluate": _evaluate,
    }
    for name, entries in report["sections"].items():
        if entries:
            lines.append(tables[name](entries, settings))
    lines.append(_versions(report["sections"]))
    return "\n".join(lines)


def _versions(sections: Mapping[str, Sequence[Entry]]) -> str:
    """A line for each environment and device, with those who were measured there."""
    subjects: dict[str, list[str]] = {}
    for entries in sections.values():
        for entry in entries:
            versions = ", ".join(f"{name} {text}" for name, text in entry["versions"].items())
            devices = {
                figures["device"] for figures in entry["rounds"].values() if "device" in figures
            }
            where = f"{versions} on {', '.join(sorted(devices))}" if devices else versions
            names = subjects.setdefault(where, [])
            if versions and entry["subject"] not in names:
                names.append(entry["subject"])
    lines = [f"- {where}: {'; '.join(names)}\n" for where, names in subjects.items() if names]
    return "## Versions\n\n" + "".join(lines)


def _train(entries: Sequence[Entry], settings: Mapping[str, Any]) -> str:
    header = ["", "a step", "steps, ratio", "an epoch", "epochs, ratio", "peak memory"]
    rows = [
        [
            entry["subject"],
            _time(entry, "step_s"),
            _ratio(entry, entries[0], "step_s"),
            _time(entry, "epoch_s"),
            _ratio(entry, entries[0], "epoch_s"),
            _memory(entry),
        ]
        for entry in entries
    ]
    above = _values(entries[0], "above_baseline_mb")
    note = ""
    if above:
        note = (
            f"\njaxrec's peak is {digits(summarise(list(above.values())).median)} MB above the "
            "interpreter with jax loaded.\n"
        )
    return (
        f"## Training step of LightGCN with BPR\n\n{settings['steps']} steps or more are measured "
        "after a warm-up, sampling included; an epoch is as many steps as it has, plus the shuffle "
        "at its start. RecBole draws negatives with rejection, PyTorch Geometric's example without "
        "looking, jaxrec exactly.\n\n" + markdown_table(header, rows) + note
    )


def _product(entries: Sequence[Entry], settings: Mapping[str, Any]) -> str:
    rows = [
        [
            entry["subject"],
            _time(entry, "seconds"),
            _ratio(entry, entries[0], "seconds"),
            _one(entry, "checksum", 6),
            _memory(entry),
        ]
        for entry in entries
    ]
    header = ["", "a product", "ratio", "checksum", "peak memory"]
    return (
        "## One sparse product A X\n\nThe normalised adjacency of all users and items times a "
        f"float32 matrix of {settings['dim']} columns; the median of {settings['repeats']} in a "
        "process. The checksum is the sum of X * (A X).\n\n" + markdown_table(header, rows)
    )


def _evaluate(entries: Sequence[Entry], settings: Mapping[str, Any]) -> str:
    k = settings["k"]
    rows = [
        [
            entry["subject"],
            _time(entry, "seconds"),
            _ratio(entry, entries[0], "seconds"),
            _count(entry, "users"),
            _one(entry, "recall", 5),
            _one(entry, "ndcg", 5),
            _memory(entry),
        ]
        for entry in entries
    ]
    header = ["", "evaluation", "ratio", "users", f"Recall@{k}", f"NDCG@{k}", "peak memory"]
    first = _values(entries[0], "first_s")
    note = ""
    if first:
        median = summarise(list(first.values())).median
        note = f"\njaxrec's first evaluation of a process, which compiles: {digits(median)} s.\n"
    return (
        "## Full evaluation\n\nEvery item ranked for every user with a test item, training items "
        "masked, on the same embeddings. RecBole as it is sizes a batch in scores (4,096), which "
        "here is one user.\n\n" + markdown_table(header, rows) + note
    )


def _values(entry: Entry, name: str) -> dict[int, float]:
    # Rounds are numbers here and text in a report that was read back.
    return {
        int(number): figures[name]
        for number, figures in entry["rounds"].items()
        if figures.get(name) is not None
    }


def _time(entry: Entry, name: str) -> str:
    values = list(_values(entry, name).values())
    if not values:
        return f"failed: {entry['errors'][-1]}" if entry["errors"] else ""
    summary = summarise(values)
    if summary.median >= 1:
        return show(summary, "s")
    return show(summarise([value * 1000 for value in values]), "ms")


def _ratio(entry: Entry, base: Entry, name: str) -> str:
    if entry is base:
        return "1"
    ratios = paired_ratios(_values(entry, name), _values(base, name))
    return show(summarise(ratios)) if ratios else ""


def _one(entry: Entry, name: str, count: int) -> str:
    values = list(_values(entry, name).values())
    return digits(summarise(values).median, count) if values else ""


def _count(entry: Entry, name: str) -> str:
    values = list(_values(entry, name).values())
    return f"{values[-1]:,.0f}" if values else ""


def _memory(entry: Entry) -> str:
    places = {"peak_mb": "MB", "device_peak_mb": "MB of the device's"}
    values = {unit: list(_values(entry, name).values()) for name, unit in places.items()}
    return "; ".join(f"{summarise(v).median:,.0f} {unit}" for unit, v in values.items() if v)
