"""Photograph every page in every state that means something for it; `scripts/screenshots` runs it.

Real servers, real runs of the built-in model, a real browser. Pictures have 256 colours at most, so that all
of them together stay small; docs/screenshots.md shows them.
"""

from __future__ import annotations

import argparse
import io
import shutil
import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright
from tour_shots import (
    DEADLINE,
    ROOT,
    Shot,
    busy_workspace,
    empty_workspace,
    full_workspace,
    without_model_server,
    without_servers,
)
from tour_workspace import Server, prepare, serving, stop, trains

FOLDER = ROOT / "docs" / "screenshots"
HEIGHTS = {1280: 800, 1920: 1080}
THEMES = ("light", "dark")
TITLES = {
    "home": "Home",
    "models": "Models",
    "data": "Data",
    "dataset": "One dataset",
    "train": "Train",
    "runs": "Runs",
    "run": "Monitor",
    "compare": "Compare",
    "publish": "Publish",
    "chat": "Chat",
}
FADED = 400  # milliseconds; longer than any transition


class Camera:
    """Takes the shots that are wanted, of one server after the other."""

    def __init__(self, browser: Browser, wanted: tuple[str, ...]) -> None:
        self._browser = browser
        self._wanted = wanted

    def wants(self, shot: Shot) -> bool:
        return shot.name.startswith(self._wanted)

    def take(self, server: Server, shots: list[Shot]) -> None:
        for shot in filter(self.wants, shots):
            size = {"width": shot.width, "height": HEIGHTS[shot.width]}
            context = self._browser.new_context(viewport=size, reduced_motion="reduce")  # type: ignore[arg-type]
            page = context.new_page()
            page.set_default_timeout(DEADLINE)
            page.goto(server.url + shot.path)
            if shot.act:
                shot.act(page)
            page.wait_for_selector(shot.ready)
            if ".toast" not in shot.ready:
                page.wait_for_selector(".toast", state="hidden")
            for theme in THEMES:
                _photograph(page, FOLDER / f"{shot.name}-{theme}.png", theme)
            if shot.after:
                shot.after()
            context.close()
            print(shot.name, flush=True)


def _photograph(page: Page, file: Path, theme: str) -> None:
    page.emulate_media(color_scheme="dark" if theme == "dark" else "light")
    page.wait_for_timeout(FADED)
    picture = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
    few = picture.quantize(256, Image.Quantize.MAXCOVERAGE, kmeans=3, dither=Image.Dither.NONE)
    few.save(file, optimize=True)


def photograph_all(camera: Camera, root: Path) -> list[Shot]:
    """Take every shot that is wanted in the prepared workspace `root` and in an empty one; all there are."""
    empty = empty_workspace()
    with tempfile.TemporaryDirectory() as folder, serving(_made(Path(folder) / "harbour-town")) as server:
        camera.take(server, empty)
    with serving(root) as server:
        full = full_workspace(server)
        camera.take(server, full)
        running, *waiting = trains(server)
        busy = busy_workspace(server, running, waiting)
        camera.take(server, busy)
        for run in (*waiting, running):
            stop(server, run)
        server.child("server").terminate()
        failed = [*without_model_server(server), *without_servers(server)]
        camera.take(server, failed)
    return [*empty, *full, *busy, *failed]


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def index(shots: list[Shot]) -> str:
    """The page that shows them, page by page."""
    lines = [
        "# Screenshots",
        "",
        "Made by `scripts/screenshots` from real servers and real runs of the built-in model.",
    ]
    for page, title in TITLES.items():
        lines += ["", f"## {title}"]
        for shot in (shot for shot in shots if shot.name.partition("-")[0] == page):
            light, dark = (
                f"![{shot.words}, {theme}](screenshots/{shot.name}-{theme}.png)" for theme in THEMES
            )
            lines += ["", f"{shot.words}:", "", "| light | dark |", "|---|---|", f"| {light} | {dark} |"]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Prepare a workspace, take the shots, write the page that shows them."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--workspace", type=Path, help="keep what is trained there, and go on from it")
    parser.add_argument("--only", default="", help="beginnings of names, separated by commas")
    chosen = parser.parse_args()
    FOLDER.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as temporary, sync_playwright() as playwright:
        root = _made(chosen.workspace or Path(temporary) / "harbour-town").resolve()
        prepare(root)
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        shots = photograph_all(Camera(browser, tuple(chosen.only.split(","))), root)
        browser.close()
    (ROOT / "docs" / "screenshots.md").write_text(index(shots), encoding="utf-8")
    size = sum(file.stat().st_size for file in FOLDER.iterdir()) / 1e6
    print(f"{len(shots) * len(THEMES)} pictures, {size:.1f} MB")


if __name__ == "__main__":
    main()
