"""`bench page`: a page to play with, served from this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bench.cli.shared import JsonOption, print_json


def page(
    *,
    port: Annotated[int, typer.Option("--port", min=1, max=65535, help="Of the page.")] = 7860,
    host: Annotated[
        str, typer.Option("--host", help="Address to listen at; 0.0.0.0 lets in whoever reaches this machine.")
    ] = "127.0.0.1",
    model: Annotated[
        Path | None, typer.Option("--model", help="A file of `bench export-model`; default: the one that comes along.")
    ] = None,
    open_browser: Annotated[bool, typer.Option("--open/--no-open", help="Open it in the browser.")] = True,
    device: Annotated[str, typer.Option("--device", help="auto, cpu, cuda, cuda:N or mps.")] = "auto",
    as_json: JsonOption = False,
) -> None:
    """A page to play with: choose or upload a character, choose a motion, see it move. Ctrl-C ends it."""
    from bench.page.serve import require_gradio, serve

    require_gradio()
    from bench.build import pick_device, use_all_cores
    from bench.transfer import default_model, read_model

    use_all_cores()
    published = read_model(model or default_model(), pick_device(device))

    def ready(url: str) -> None:
        if as_json:
            print_json({"url": url, "model": published.about})
        else:
            print(f"{url} (Ctrl-C ends it)", flush=True)

    serve(published, host, port, open_browser, ready)
