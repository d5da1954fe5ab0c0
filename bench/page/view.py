"""The page itself: fields, buttons, and what each of them calls. Imports Gradio."""

from __future__ import annotations

import html
import random
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import gradio as gr

from bench.data.recipe import SPLIT_SEEDS
from bench.errors import BenchError, UsageError
from bench.page.animate import LONGEST, MOST_PASSES, MOST_SHOTS, Character, Motion, animate, look
from bench.transfer import Published
from methods.interface import FineTune

PROGRESS = gr.Progress()  # Gradio puts its own in place of a default like this
TITLE = "Few-shot anime pose transfer"
FIRST = SPLIT_SEEDS["test"] + 3  # the character, unseen in training, that the page opens with
DANCES = 1000  # that the random button chooses from
NO_DETECTOR = "none"
OWN, FILE = "own", "file"  # tabs beside the first of theirs
TO_UPLOAD = "upload a picture of the character, or take one of the suite's"
CSS = """
.gradio-container > main { max-width: 1180px !important; margin: 0 auto !important; padding-top: 1.2rem !important; }
#head h1 { font-size: 1.6rem; margin: 0; } #head p { color: var(--body-text-color-subdued); margin: 0.2rem 0 0; }
#head, #head *, .said, .said * { padding-left: 0 !important; } #seen-said:not(:has(p)) { display: none; }
.said { color: var(--body-text-color-subdued); font-size: 0.9rem; line-height: 1.45; }
#seen, #result { background: white; } #seen img, #result img { object-fit: contain; }
.file-preview .stem { min-width: 3em; } .random { align-self: flex-end; margin-bottom: var(--block-padding); }
.said p { margin: 0.15rem 0; } .said .remark { color: #9a6700; } .said .fault { color: #b42318; font-weight: 600; }
.dark .said .remark { color: #e3b341; } .dark .said .fault { color: #ff8a80; }
"""


class _Bar:
    """A Task that is the progress over the result."""

    def __init__(self, progress: Any) -> None:
        self._progress = progress

    def update(self, done: int, total: int, note: str = "") -> None:
        self._progress((done, total), desc=note)


def build_page(published: Published, scratch: Path) -> Any:
    """The Gradio Blocks of the page; uploads' copies and results go to `scratch`."""
    schedule = published.model.schedule or FineTune(0.0, 0)
    # one at a time: torch uses every core, and adapting seeds its one global generator
    alone = {"concurrency_limit": 1, "concurrency_id": "suite", "api_visibility": "private"}

    def seen(*values: Any) -> tuple[Any, ...]:
        whose, _, pictures, *_ = values
        if whose == OWN and not pictures:  # not a fault yet
            return None, _said(TO_UPLOAD, ())
        return _or_fault(lambda: _look(published, _character(*values), scratch), (None,))

    def played(progress: Any = PROGRESS, *values: Any) -> tuple[Any, ...]:
        nothing = (None, *_downloads(None, None, None))
        return _or_fault(lambda: _animate(published, values, scratch, _Bar(progress)), nothing)

    with gr.Blocks(title=TITLE, analytics_enabled=False, fill_width=True, delete_cache=(3600, 3600)) as page:
        about = published.about.get("title", published.spec.method)
        gr.HTML(f"<h1>{TITLE}</h1><p>{html.escape(about)}, trained at preset {html.escape(published.spec.preset)}, "
                "adapts to a character and draws it in every pose of a motion.</p>", elem_id="head")  # fmt: skip
        whose, what = gr.State(""), gr.State("")
        with gr.Row():
            with gr.Column(scale=4, min_width=380):
                character = _character_fields(whose)
                motion = _motion_fields(what)
                further = _further_fields(schedule)
                go = gr.Button("Animate", variant="primary", elem_id="go")
            with gr.Column(scale=6, min_width=380):
                joints = gr.Image(label="Character and joints", interactive=False, height=300, format="png",
                                  buttons=["fullscreen"], elem_id="seen")  # fmt: skip
                joints_said = gr.HTML(elem_id="seen-said", elem_classes="said")
                result = gr.Image(label="Result", type="filepath", interactive=False, height=345, format="gif",
                                  buttons=["fullscreen"], elem_id="result")  # fmt: skip
                result_said = gr.HTML(elem_id="result-said", elem_classes="said")
                with gr.Row():
                    files = [
                        gr.DownloadButton(f"Download {kind}", visible=False, size="sm", elem_id=f"get-{name}")
                        for name, kind in (("gif", "GIF"), ("mp4", "MP4"), ("sheet", "contact sheet"))
                    ]
        changed = [field.change for field in character]
        gr.on([page.load, *changed], seen, character, [joints, joints_said], trigger_mode="always_last",
              show_progress="minimal", **alone)  # fmt: skip
        go.click(
            played, [*character, *motion, *further], [result, *files, result_said], show_progress_on=result, **alone
        )
    return page


def _character_fields(whose: Any) -> list[Any]:
    gr.Markdown("### 1 · Character")
    with gr.Tabs():
        with gr.Tab("One of the suite's") as suite, gr.Row():
            seed = gr.Number(FIRST, label="Seed", info="from 2000000: seen by no model in training", precision=0,
                             minimum=0, maximum=9_999_999, scale=3, elem_id="seed")  # fmt: skip
            _random(seed, lambda: random.randrange(SPLIT_SEEDS["test"], SPLIT_SEEDS["test"] + 1_000_000))
        with gr.Tab("Your own pictures") as own:
            with gr.Row():
                pictures = gr.File(label="Pictures", file_count="multiple", height=140,
                                   file_types=["image"], elem_id="pictures")  # fmt: skip
                joints = gr.File(label="Joints", file_count="multiple", height=140,
                                 file_types=[".json"], elem_id="joints")  # fmt: skip
            gr.HTML("<p>One character, cut out or on white; more pictures are more shots. Joints: 17 × (x, y, "
                    "visibility) in a .json of the picture's name, or found by the detector.</p>",
                    elem_classes="said")  # fmt: skip
            known = [NO_DETECTOR, "movenet", *(["rtmlib"] if find_spec("rtmlib") else [])]
            detector = gr.Radio(known, value=NO_DETECTOR, label="Detector", elem_id="detector")
    suite.select(lambda: "", None, whose, api_visibility="private")
    own.select(lambda: OWN, None, whose, api_visibility="private")
    return [whose, seed, pictures, joints, detector]


def _motion_fields(what: Any) -> list[Any]:
    gr.Markdown("### 2 · Motion")
    with gr.Tabs():
        with gr.Tab("A dance") as dance, gr.Row():
            seed = gr.Number(0, label="Dance", info="any whole number is another one", precision=0, minimum=0, scale=3,
                             elem_id="dance")  # fmt: skip
            _random(seed, lambda: random.randrange(DANCES))
        with gr.Tab("A file") as file:
            clip = gr.File(label=".bvh, .vrma, or .json of keypoints", height=140, elem_id="clip",
                           file_types=[".bvh", ".vrma", ".json"])  # fmt: skip
    with gr.Row():
        frames = gr.Number(48, label="Frames", info=f"at most; up to {LONGEST}", precision=0, minimum=1,
                           maximum=LONGEST, min_width=120, elem_id="frames")  # fmt: skip
        fps = gr.Number(12, label="Frames a second", info="of the result, and taken of a clip", minimum=1,
                        maximum=50, min_width=120, elem_id="fps")  # fmt: skip
    dance.select(lambda: "", None, what, api_visibility="private")
    file.select(lambda: FILE, None, what, api_visibility="private")
    return [what, seed, clip, frames, fps]


def _further_fields(schedule: FineTune) -> list[Any]:
    with gr.Accordion("Fine-tuning and shots", open=False):
        with gr.Row():
            shots = gr.Number(0, label="Shots", info="0: one a picture", precision=0, minimum=0, maximum=MOST_SHOTS,
                              min_width=90, elem_id="shots")  # fmt: skip
            passes = gr.Number(schedule.passes, label="Passes", info=f"the model's: {schedule.passes}", precision=0,
                               minimum=0, maximum=max(MOST_PASSES, schedule.passes), min_width=90,
                               elem_id="passes")  # fmt: skip
            rate = gr.Number(schedule.lr, label="Rate", info=f"the model's: {schedule.lr:g}", minimum=0, maximum=1,
                             step=0.001, min_width=90, elem_id="rate")  # fmt: skip
        poses = gr.Checkbox(True, label="Stick figure beside every frame", elem_id="poses")
    return [shots, passes, rate, poses]


def _random(field: Any, draw: Callable[[], int]) -> None:
    button = gr.Button("Random", scale=1, min_width=100, elem_id=f"random-{field.elem_id}", elem_classes="random")
    button.click(draw, None, field, api_visibility="private")


def _character(
    whose: str, seed: int | None, pictures: Sequence[str] | None, joints: Sequence[str] | None, detector: str
) -> Character:
    if whose != OWN:
        return Character(seed)
    if not pictures:
        raise UsageError(TO_UPLOAD)
    named = "" if detector == NO_DETECTOR else detector
    return Character(None, tuple(map(Path, pictures)), tuple(map(Path, joints or ())), named)


def _motion(what: str, seed: int | None, clip: str | None, frames: int | None, fps: float | None) -> Motion:
    if frames is None or fps is None:
        raise UsageError("say how many frames, and how many a second")
    if what != FILE:
        return Motion(seed, None, frames, fps)
    if not clip:
        raise UsageError("upload a clip or keypoints, or take a dance")
    return Motion(None, Path(clip), frames, fps)


def _look(published: Published, character: Character, scratch: Path) -> tuple[Any, str]:
    found = look(published, character, scratch)
    return found.image, _said("", found.remarks)


def _animate(published: Published, values: Sequence[Any], scratch: Path, bar: _Bar) -> tuple[Any, ...]:
    who, how, (shots, passes, rate, poses) = values[:5], values[5:10], values[10:]
    schedule = FineTune(rate or 0.0, passes) if passes else None
    made = animate(published, _character(*who), _motion(*how), shots or 0, schedule, poses, scratch, bar)
    return str(made.gif), *_downloads(made.gif, made.mp4, made.sheet), _said(made.caption, made.remarks)


def _downloads(*files: Path | None) -> list[Any]:
    return [gr.update(value=str(file) if file else None, visible=file is not None) for file in files]


def _said(caption: str, remarks: Sequence[str]) -> str:
    lines = [("", caption)] if caption else []
    lines += [("remark", remark) for remark in remarks]
    return "".join(f'<p class="{kind}">{html.escape(text)}</p>' for kind, text in lines)


def _or_fault(call: Callable[[], tuple[Any, ...]], without: tuple[Any, ...]) -> tuple[Any, ...]:
    """What `call` gives, or `without` and the suite's one line about what is wrong."""
    try:
        return call()
    except BenchError as error:
        return *without, f'<p class="fault">{html.escape(str(error))}</p>'
