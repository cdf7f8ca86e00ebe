"""Makes the pictures beside it again, from what Chromium shows: `python docs/pictures/make.py RUN SEARCH OTHER`, three folders of results.

arbonn run recipes/digits.toml
arbonn run recipes/four_neurons.toml
arbonn explore docs/pictures/space.toml --sampler random
python docs/pictures/make.py build/digits build/pictures build/four_neurons
"""

from __future__ import annotations

import io
import shutil
import sys
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

import arbonn

SIZE = {"width": 1200, "height": 900}
COLOURS = 128  # of a palette: a picture then takes some tens of kB


def main(run: Path, search: Path, other: Path) -> None:
    pages = {"compare": arbonn.report(run, other).file, "run": arbonn.report(run).file, "search": arbonn.report(search).file}
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"))
        for name, path in pages.items():
            for theme in ("light", "dark"):
                page = browser.new_context(offline=True, color_scheme=theme, viewport=SIZE).new_page()
                page.goto(path.resolve().as_uri())
                page.wait_for_selector("html[data-drawn]", state="attached")
                shown = Image.open(io.BytesIO(page.screenshot())).convert("RGB").quantize(COLOURS, Image.Quantize.MAXCOVERAGE)
                shown.save(Path(__file__).with_name(f"{name}-{theme}.png"), optimize=True)
        browser.close()


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
