"""The report in a real browser: it shows, complains about nothing and asks nobody for anything."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import matplotlib.image
import numpy as np
import pytest
from recorded_run import write_small

from simdfl.report.__main__ import main

CHROMIUM = shutil.which("chromium")
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--window-size=1200,4000",
)
TIMEOUT_S = 120.0

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed (apt-get install chromium)"),
]


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = write_small(tmp_path_factory.mktemp("browser") / "run")
    assert main([str(folder)]) == 0
    return folder / "report.html"


def browse(tmp_path: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [CHROMIUM, *FLAGS, f"--user-data-dir={tmp_path / 'profile'}", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=True)


class Answer(BaseHTTPRequestHandler):
    """Serves one page and writes down what is asked for."""

    def __init__(self, text: bytes, asked: list[str], *arguments: object) -> None:
        self.text, self.asked = text, asked
        super().__init__(*arguments)

    def do_GET(self) -> None:
        self.asked.append(self.path)
        self.send_response(200)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        # Whatever the page asked of anybody else would be a violation, which the browser reports on its console.
        self.send_header(
            "Content-Security-Policy",
            "default-src 'none'; img-src data:; style-src 'unsafe-inline'",
        )
        self.end_headers()
        self.wfile.write(self.text)

    def log_message(self, *arguments: object) -> None:
        """Keep quiet."""


@contextmanager
def served(page: Path) -> Iterator[tuple[str, list[str]]]:
    asked: list[str] = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Answer, page.read_bytes(), asked))
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/", asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def visit(page: Path, tmp_path: Path) -> tuple[subprocess.CompletedProcess[str], list[str]]:
    """Return what the browser said about a page, and what it asked the page's server for."""
    with served(page) as (address, asked):
        return browse(tmp_path, "--enable-logging=stderr", "--v=0", "--dump-dom", address), asked


def test_no_console_error_and_no_request_beside_the_page(page: Path, tmp_path: Path) -> None:
    ended, asked = visit(page, tmp_path)
    assert asked == ["/"]
    assert "CONSOLE" not in ended.stderr
    assert ended.stdout.count("<section") == 15


def test_a_request_would_be_noticed(page: Path, tmp_path: Path) -> None:
    leaky = tmp_path / "leaky.html"
    text = page.read_text(encoding="utf-8")
    leaky.write_text(
        text.replace("</body>", '<img src="http://192.0.2.1/x.png" alt="">\n</body>'), encoding="utf-8"
    )
    ended, _ = visit(leaky, tmp_path)
    assert "CONSOLE" in ended.stderr
    assert "192.0.2.1" in ended.stderr


def test_all_figures_are_drawn(page: Path, tmp_path: Path) -> None:
    shot = tmp_path / "shot.png"
    browse(tmp_path, f"--screenshot={shot}", page.as_uri())
    pixels = matplotlib.image.imread(shot)[..., :3]
    assert pixels.shape[:2] == (4000, 1200)
    coloured = np.ptp(pixels, axis=2) > 0.3
    assert 0.005 < coloured.mean() < 0.5  # bars and lines, not a blank or broken page


def test_it_prints(page: Path, tmp_path: Path) -> None:
    paper = tmp_path / "paper.pdf"
    browse(tmp_path, f"--print-to-pdf={paper}", page.as_uri())
    assert paper.read_bytes().startswith(b"%PDF")
    assert paper.stat().st_size > 50_000
