"""Takes the pictures of docs/service.md: `python -m tests.serve.page.pictures ADDRESS`.

ADDRESS is where a service with the default run's model answers. Fonts are the machine's own.
"""

import io
import shutil
import sys

from PIL import Image
from playwright.sync_api import sync_playwright

from tests.nursery import ROOT
from tests.serve.page.conftest import BROWSERS

FOLDER = ROOT / "docs" / "images"
SIZE = {"width": 1080, "height": 760}
QUERIES = ("faded hotel", "fallen avenue", "forgotten hotel", "slow lanterns")
COLOURS = 64  # of a picture: small, and nobody sees it


def take(address: str) -> None:
    """Writes a light and a dark picture."""
    path = next(filter(None, map(shutil.which, BROWSERS)))
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path)
        for scheme in ("light", "dark"):
            context = browser.new_context(
                viewport=SIZE, color_scheme=scheme, reduced_motion="reduce"
            )
            page = context.new_page()
            page.goto(address)
            for query in QUERIES:
                page.get_by_role("combobox").fill(query)
                page.get_by_role("option").first.click()
            rows = page.locator("#songs > li")
            rows.first.locator(".row").click()
            page.locator(".similar").wait_for()
            rows.first.hover(position={"x": 5, "y": 5})
            picture = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
            picture.quantize(COLOURS).save(FOLDER / f"page-{scheme}.png", optimize=True)
        browser.close()


if __name__ == "__main__":
    take(sys.argv[1])
