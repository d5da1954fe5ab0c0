"""Serves the page from this machine until it is told to stop, and leaves nothing behind."""

from __future__ import annotations

import os
import signal
import tempfile
import threading
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

from bench.errors import UsageError

if TYPE_CHECKING:
    from bench.transfer import Published

LARGEST_UPLOAD = "256mb"
OLDEST_GRADIO = (6, 2)


def require_gradio() -> None:
    """Raises UsageError where Gradio is not installed, or is one that the page was not written for."""
    try:
        found = version("gradio")
    except PackageNotFoundError:
        raise UsageError("the page needs Gradio: pip install 'anime-pose-bench[page]'") from None
    if tuple(int(part) for part in found.split(".")[:2]) < OLDEST_GRADIO:
        raise UsageError(f"the page needs a newer Gradio than {found}: pip install -U 'anime-pose-bench[page]'")


def serve(published: Published, host: str, port: int, open_browser: bool, ready: Callable[[str], None]) -> None:
    """Serve the page at `host`:`port` until SIGINT or SIGTERM; `ready` is given its address. Raises UsageError.

    Nothing is asked of any network: no telemetry, no shared link, fonts of the system.
    """
    require_gradio()
    with tempfile.TemporaryDirectory(prefix="anime-pose-bench-", ignore_cleanup_errors=True) as folder:
        # read when Gradio is imported
        os.environ |= {"GRADIO_TEMP_DIR": str(Path(folder, "gradio")), "GRADIO_ANALYTICS_ENABLED": "False"}
        # Gradio asks itself whether it runs, and a proxy would answer for it
        os.environ["no_proxy"] = os.environ["NO_PROXY"] = ",".join(filter(None, [os.environ.get("no_proxy"), host]))
        import gradio as gr

        from bench.page.view import CSS, build_page

        page = build_page(published, Path(folder))
        fonts = {"font": ["system-ui", "sans-serif"], "font_mono": ["ui-monospace", "monospace"]}
        try:
            _, url, _ = page.launch(
                server_name=host, server_port=port, share=False, inbrowser=open_browser, prevent_thread_lock=True,
                quiet=True, ssr_mode=False, mcp_server=False, pwa=False, run_history=False, enable_monitoring=False,
                footer_links=[], max_file_size=LARGEST_UPLOAD, theme=gr.themes.Soft(**fonts), css=CSS,
            )  # fmt: skip
        except OSError as error:
            raise UsageError(f"--port {port} cannot be had on {host}; give another, e.g. --port {port + 1}") from error
        try:
            ready(url)
            _wait()
        finally:
            page.close(verbose=False)


def _wait() -> None:
    """Until SIGINT or SIGTERM."""
    asked = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: asked.set())
    while not asked.wait(0.5):  # in slices: on Windows a wait without end hears no signal
        pass
