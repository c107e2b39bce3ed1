"""The page: Gradio's components around one function."""

import os
import tempfile
import time
from pathlib import Path

# Before Gradio is imported: it would tell its makers that it runs.
os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"

import gradio as gr
from fastapi import FastAPI
from gradio import processing_utils

from stfnet.serving.jobs import Jobs
from stfnet.serving.limits import RefusedError
from stfnet.serving.metrics import Metrics
from stfnet.serving.worker import Answer

SHOWN_CLASSES = 5
KEPT_SECONDS, LOOK_SECONDS = 600, 60  # how long files of the page live at least; between looks
# The picture of a clip is wide: on a phone it is scrolled, not shrunk until nothing can be read.
# Gradio's scissors load a program from another host.
CSS = """
#source video { max-height: 260px; }
#film video { max-height: 480px; }
#picture img { width: auto; max-width: 100%; height: auto; }
@media (max-width: 700px) {
  #picture button:has(img), #picture .image-frame { display: block; width: 100%; text-align: left; }
  #picture .image-frame { overflow-x: auto; }
  #picture img { max-width: none; }
}
button[aria-label^="Trim"] { display: none !important; }
"""
NOT_EXPLAINED = (
    "This server has an **export**, which gives probabilities alone: Grad-CAM and the importance "
    "of frames need the layers of the network. Serve the folder of the run to see them."
)


async def _refuse_outside(url: str, *_, **__):
    raise RefusedError(422, "addresses are not fetched: send a file")


def mount(app: FastAPI, jobs: Jobs, metrics: Metrics) -> FastAPI:
    """Adds the page at `/` to an application.

    Args:
        app: with all other routes: the page takes what is left.
        jobs: has the network and the limits.
        metrics: counts what the page answers.

    Returns:
        The application; `state.page` is Gradio's part of it.
    """
    # Gradio would fetch a file whose address a client names instead of sending one.
    processing_utils.async_ssrf_protected_get = _refuse_outside
    font = ["system-ui", "sans-serif"]
    gr.mount_gradio_app(
        app,
        build(jobs, metrics),
        path="/",
        theme=gr.themes.Default(font=font, font_mono=["monospace"]),
        css=CSS,
        max_file_size=jobs.limits.max_bytes,
        show_error=False,  # of ours alone: others may hold a path
        footer_links=[],
        run_history=False,
        mcp_server=False,
        ssr_mode=False,
        pwa=False,
        enable_monitoring=False,
    )
    app.state.page = app.routes[-1].app
    return app


def build(jobs: Jobs, metrics: Metrics) -> gr.Blocks:
    """The page of a server, unmounted; arguments as of `mount`."""
    network, limits = jobs.network, jobs.limits
    # A file must live until those before it are done.
    kept = max(KEPT_SECONDS, round((limits.queue + 1) * limits.time_limit))

    async def recognise(path: str | None, film: bool):
        if path is None:
            raise gr.Error("Drop or record a video first.", print_exception=False)
        begin = time.monotonic()
        try:
            # Gradio copies the film when it is yielded.
            with jobs.admitted(), tempfile.TemporaryDirectory() as folder:
                film_path = str(Path(folder) / "film.webm") if film and network.explains else None
                answer = await jobs.recognise(path, draw=True, film=film_path)
                took = time.monotonic() - begin
                yield (
                    dict(answer.ranking),
                    facts(answer, took),
                    gr.update(value=answer.picture, visible=answer.picture is not None),
                    gr.update(value=film_path, visible=film_path is not None),
                )
        except RefusedError as error:
            metrics.count("page", error.status)
            raise gr.Error(str(error), print_exception=False) from None
        metrics.count("page", 200)
        metrics.time("page", took)

    with gr.Blocks(
        title=f"STFNet: {network.dataset}",
        analytics_enabled=False,
        delete_cache=(LOOK_SECONDS, kept),
    ) as blocks:
        gr.Markdown(introduction(jobs))
        with gr.Row():
            with gr.Column():
                source = gr.Video(
                    label="Video",
                    sources=["upload", "webcam"],
                    webcam_options=gr.WebcamOptions(mirror=False),
                    height=330,
                    elem_id="source",
                )
                film = gr.Checkbox(
                    label="Also a film of the whole video (takes longer)", visible=network.explains
                )
                button = gr.Button("Recognise", variant="primary", elem_id="recognise")
            with gr.Column():
                label = gr.Label(label="Class", num_top_classes=SHOWN_CLASSES, elem_id="label")
                text = gr.Markdown(elem_id="facts")
        if not network.explains:
            gr.Markdown(NOT_EXPLAINED, elem_id="not-explained")
        picture = gr.Image(
            show_label=False,
            buttons=["download", "fullscreen"],
            format="png",
            interactive=False,
            elem_id="picture",
            visible=False,
        )
        shown_film = gr.Video(
            label="Film",
            buttons=["download"],
            interactive=False,
            elem_id="film",
            visible=False,
        )
        gr.on(
            [source.upload, source.stop_recording, button.click],
            recognise,
            [source, film],
            [label, text, picture, shown_film],
            concurrency_limit=limits.queue,
            api_visibility="private",
        )
    blocks.queue(max_size=limits.queue, api_open=False)
    return blocks


def introduction(jobs: Jobs) -> str:
    """What the page says above all, in Markdown."""
    network, limits = jobs.network, jobs.limits
    names = ", ".join(map(_plain, network.classes[:20]))
    names += ", ..." if len(network.classes) > 20 else ""
    return (
        f"# Which action is it?\n"
        f"Trained on {_plain(network.dataset)}: {names}.  \n"
        f"Files up to {limits.max_megabytes} MB and {limits.max_seconds:g} s. "
        "For programs: [/docs](/docs)."
    )


def facts(answer: Answer, took: float) -> str:
    """A line on the video and the time, in Markdown."""
    shown = len({number for number, _ in answer.frames})
    return (
        f"{answer.num_frames} frames, {answer.seconds:.1f} s; {shown} frames sampled; "
        f"answered in {took:.1f} s"
    )


def _plain(name: str) -> str:
    """A name without what Markdown or HTML would take for marks."""
    return "".join(f"&#{ord(c)};" if c in "\\`*_{}[]<>()#+!|&~" else c for c in name)
