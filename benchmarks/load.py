"""The service under load: requests at a fixed rate, new bundles meanwhile, the client beside it.

Requests are sent when they are due, whether earlier ones are answered or not, and a request's time
counts from when it was due: a service that stalls is seen to stall.
"""

import argparse
import asyncio
import contextlib
import dataclasses
import itertools
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

from benchmarks.measuring import seconds_from_due
from benchmarks.processes import run_worker
from jaxrec.serve.bundle import Bundle, read_bundle, write_bundle
from jaxrec.serve.scorer import Scorer

LONGEST = 30.0  # seconds for a request
START_SECONDS = 60.0


def main() -> None:
    """Measures and prints a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bundle", type=Path, required=True, help="what `export` wrote")
    parser.add_argument("--rate", type=float, default=200, help="requests a second")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--songs", type=int, default=30, help="in a history")
    parser.add_argument("--k", type=int, default=20, help="songs in a list")
    parser.add_argument("--reloads", type=int, default=30, help="new bundles in a second round")
    parser.add_argument("--copy", type=Path, required=True, help="a folder for them, made anew")
    parser.add_argument("--environments", type=Path, help="of the peers; none: no peer")
    arguments = parser.parse_args()
    bundle = read_bundle(arguments.bundle)
    copies = [_copy(arguments.copy / name, bundle) for name in ("first", "second")]
    current = _lead(arguments.copy / "current", copies[0])
    bodies = _bodies(arguments.bundle, arguments.songs, arguments.k)
    print(f"loading the scorer: {_scorer_seconds(current):.2f} s, import included")
    with _service(current) as (process, port, seconds):
        print(f"the service answers after {seconds:.2f} s; {_memory(process.pid)}")
        asyncio.run(ask_at_a_rate(port, bodies, rate=50, seconds=2))  # warms it up
        _say("at rest", asyncio.run(ask_at_a_rate(port, bodies, arguments.rate, arguments.seconds)))
        print(_memory(process.pid))
        found = asyncio.run(_with_reloads(port, bodies, arguments, copies))
        _say(f"with {arguments.reloads} new bundles", found)
        print(_memory(process.pid))
    _say_lists(bundle, arguments)


def _bodies(folder: Path, songs: int, k: int) -> list[bytes]:
    """Requests with the histories of listeners who have as many songs, as strangers'."""
    scorer, random = Scorer.load(folder), np.random.default_rng(0)
    bodies = []
    for user in random.permutation(len(scorer.users)).tolist():
        items = scorer.history_of(user).items
        if len(items) >= songs:
            chosen = random.choice(items, songs, replace=False)
            history = [{"song": scorer.items[item]} for item in chosen]
            bodies.append(json.dumps({"history": history, "k": k}).encode())
        if len(bodies) == 1000:
            break
    if not bodies:
        raise SystemExit(f"no listener of {folder} has {songs} songs; expected a smaller --songs")
    return bodies


def _scorer_seconds(folder: Path) -> float:
    code = "import sys; from jaxrec.serve.scorer import Scorer; Scorer.load(sys.argv[1])"
    begin = time.perf_counter()
    subprocess.run([sys.executable, "-c", code, str(folder)], check=True)
    return time.perf_counter() - begin


@contextlib.contextmanager
def _service(folder: Path) -> Iterator[tuple[subprocess.Popen[str], int, float]]:
    """The service, its port and the seconds until it answered."""
    command = [sys.executable, "-m", "jaxrec.main", "serve", f"--bundle={folder}", "--port=0"]
    begin = time.perf_counter()
    log = folder.with_name(f"{folder.name}.log")
    with log.open("w") as file:
        process = subprocess.Popen(command, stderr=file, text=True)
    try:
        port = None
        while port is None:
            time.sleep(0.01)
            found = re.search(r"http://127\.0\.0\.1:(\d+) answers", log.read_text())
            port = int(found[1]) if found else None
            if process.poll() is not None or time.perf_counter() - begin > START_SECONDS:
                raise SystemExit(f"the service doesn't start: {log.read_text()}")
        asyncio.run(ask_at_a_rate(port, [b""], rate=1000, seconds=0.001))
        yield process, port, time.perf_counter() - begin
    finally:
        process.terminate()
        process.wait(30)


async def ask_at_a_rate(port: int, bodies: list[bytes], rate: float, seconds: float) -> np.ndarray:
    """Seconds that each request took from when it was due; infinite for one that failed."""
    pool: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []
    taken = np.full(max(int(rate * seconds), 1), np.inf)
    begin = time.perf_counter() + 0.05

    async def try_to_send(number: int, body: bytes) -> None:
        with contextlib.suppress(OSError, EOFError, TimeoutError):
            await asyncio.wait_for(send(number, body), LONGEST)

    async def send(number: int, body: bytes) -> None:
        due = begin + number / rate
        reader, writer = pool.pop() if pool else await asyncio.open_connection("127.0.0.1", port)
        route = b"POST /recommend" if body else b"GET /health"
        writer.write(
            route + b" HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
            b"content-length: %d\r\n\r\n" % len(body) + body
        )
        head = await reader.readuntil(b"\r\n\r\n")
        length = re.search(rb"content-length: (\d+)", head)
        answer = await reader.readexactly(int(length[1])) if length else b""
        if head.startswith(b"HTTP/1.1 200") and answer:
            taken[number] = time.perf_counter() - due
        pool.append((reader, writer))

    async with asyncio.TaskGroup() as group:
        for number, body in zip(range(len(taken)), itertools.cycle(bodies), strict=False):
            await asyncio.sleep(begin + number / rate - time.perf_counter())
            group.create_task(try_to_send(number, body))
    for _, writer in pool:
        writer.close()
    return taken


async def _with_reloads(
    port: int, bodies: list[bytes], arguments: argparse.Namespace, copies: list[Path]
) -> np.ndarray:
    """The same while the bundle is replaced again and again."""
    seconds = max(arguments.seconds, 6.0 * arguments.reloads)  # the service looks every 5 s
    load = asyncio.create_task(ask_at_a_rate(port, bodies, arguments.rate, seconds))
    for number in range(1, arguments.reloads + 1):
        await asyncio.sleep(seconds / (arguments.reloads + 1))
        _lead(arguments.copy / "current", copies[number % 2])
    return await load


def _lead(link: Path, folder: Path) -> Path:
    """Has a link lead to a folder, from one moment to the next."""
    new = link.with_name("new")
    new.symlink_to(folder.resolve())
    os.replace(new, link)
    return link


def _copy(folder: Path, bundle: Bundle) -> Path:
    """A bundle that ranks alike and is another."""
    about = {**bundle.about, "copy": folder.name}
    write_bundle(folder, dataclasses.replace(bundle, about=about))
    return folder


def _say_lists(bundle: Bundle, arguments: argparse.Namespace) -> None:
    """Lists at the same rate by the bundle's vectors alone, and by implicit's scoring of them."""
    prefix = "0." if "0.item" in bundle.model else ""
    user, item = (bundle.model.get(f"{prefix}{name}") for name in ("user", "item"))
    if user is None or item is None:
        print("the bundle has no vectors: no lists by them")
        return
    settings = {"unit_users": False, "fold_in": "constant", "fold_in_settings": {}}
    about = {**bundle.about, "kind": "factors", "settings": settings}
    model = {"user": user, "item": item, "fold_in.vector": np.zeros(item.shape[1], np.float32)}
    scorer = Scorer(dataclasses.replace(bundle, about=about, model=model), "vectors alone")
    users = np.random.default_rng(0).permutation(len(user))[:500].tolist()
    count, found = max(int(arguments.rate * arguments.seconds), len(users)), {}

    def ask(number: int) -> None:
        each = users[number % len(users)]
        history, hidden = scorer.history_of(each), scorer.seen_by(each)
        found[each] = scorer.top(history, k=arguments.k, hidden=hidden)[0].tolist()

    with threadpool_limits(limits=1, user_api="blas"):
        seconds_from_due(ask, len(users), arguments.rate)  # warms it up
        seconds = seconds_from_due(ask, count, arguments.rate)
    _say("jaxrec, lists of known listeners by the vectors alone", np.array(seconds))
    if arguments.environments is None:
        return
    with tempfile.TemporaryDirectory() as folder:
        arrays = {"user": user, "item": item}
        arrays |= {name: bundle.histories[f"seen_{name}"] for name in ("offsets", "items")}
        for name, each in arrays.items():
            np.save(Path(folder, f"{name}.npy"), each, allow_pickle=False)
        request = {
            "module": "implicit_",
            "section": "lists",
            "work": folder,
            "users": users,
            "k": arguments.k,
            "rate": arguments.rate,
            "count": count,
        }
        os.environ["OPENBLAS_NUM_THREADS"] = "1"  # in the peer's process, as here
        python = str(arguments.environments / "implicit" / "bin" / "python")
        result = run_worker(python, request, Path(folder))
    theirs = result["figures"]
    alike = sum(
        set(found[one]) == set(other) for one, other in zip(users, theirs["lists"], strict=True)
    )
    _say(f"implicit {result['versions']['implicit']}, the same", np.array(theirs["seconds"]))
    print(f"{alike} of {len(users)} lists alike")


def _say(what: str, taken: np.ndarray) -> None:
    failed = int(np.isinf(taken).sum())
    p50, p99 = np.percentile(taken, [50, 99]) * 1000
    worst = taken.max() * 1000
    print(
        f"{what}: {len(taken):,} requests, {failed} failed, median {p50:.1f} ms, p99 {p99:.1f} ms, "
        f"longest {worst:.1f} ms"
    )


def _memory(pid: int) -> str:
    """What Linux tells of a process's memory."""
    text = Path(f"/proc/{pid}/status").read_text()
    kilobytes = {
        name: int(re.findall(rf"{name}:\s+(\d+) kB", text)[0]) for name in ("RssAnon", "RssFile")
    }
    return (
        f"memory: {kilobytes['RssAnon'] / 1000:.0f} MB of its own, "
        f"{kilobytes['RssFile'] / 1000:.0f} MB of files mapped"
    )


if __name__ == "__main__":
    os.environ.setdefault("PYTHONPATH", str(Path(__file__).parents[1]))
    main()
