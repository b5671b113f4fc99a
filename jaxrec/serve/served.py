"""The scorer in service, exchanged for that of a new bundle while requests go on."""

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path

from jaxrec.errors import UserError, printable
from jaxrec.serve.bundle import bundle_id
from jaxrec.serve.scorer import Scorer

LOG = logging.getLogger("jaxrec.serve")


class Served:
    """Whatever bundle a folder holds; the last whole one where it holds a damaged one.

    A request takes `scorer` once and keeps it: it is answered by one bundle from beginning to end.

    Args:
      folder: of the bundle, or a link to one.
      on_reload: told of each attempt to take over another bundle, whether it succeeded.

    Raises:
      UserError: there is no bundle, or a damaged one.
    """

    def __init__(self, folder: Path, on_reload: Callable[[bool], None] = lambda done: None) -> None:
        self._folder, self._on_reload = folder, on_reload
        self.scorer = Scorer.load(folder)
        self._refused: str | None = None  # what was wrong at the last look

    def look(self) -> None:
        """Takes over the folder's bundle where it is another than the one in service."""
        found = bundle_id(self._folder)
        if found == self.scorer.bundle_id:
            self._refused = None
            return
        try:
            self.scorer = Scorer.load(self._folder)
        except UserError as error:
            # Said once: a bundle that is being copied is looked at again and again.
            if str(error) != self._refused:
                self._refused = str(error)
                self._on_reload(False)
                LOG.error(
                    "bundle refused, %s stays in service: %s",
                    self.scorer.bundle_id,
                    printable(str(error)),
                )
            return
        self._refused = None
        self._on_reload(True)
        LOG.warning("bundle %s is in service", self.scorer.bundle_id)

    async def watch(self, seconds: float, at_once: asyncio.Event) -> None:
        """Looks every so many seconds, and whenever `at_once` is set; never ends by itself."""
        while True:
            try:
                async with asyncio.timeout(seconds):
                    await at_once.wait()
            except TimeoutError:
                pass
            at_once.clear()
            try:
                await asyncio.to_thread(self.look)
            except Exception:  # such as no memory: the old one goes on
                LOG.exception("bundle not taken over, %s stays in service", self.scorer.bundle_id)
