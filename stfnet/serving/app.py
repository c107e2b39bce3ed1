"""The application: the REST endpoint, its documentation, health and figures, and the page."""

import asyncio
import shutil
import tempfile
import time
from importlib import metadata
from pathlib import Path
from typing import Annotated

from fastapi import FastAPI, File, Request, Response, UploadFile
from fastapi.responses import JSONResponse
from fastapi_offline import FastAPIOffline
from gradio.utils import get_upload_folder
from pydantic import BaseModel, Field

from stfnet.serving import page
from stfnet.serving.admission import PREDICT, Admission
from stfnet.serving.jobs import Jobs
from stfnet.serving.limits import FORM_BYTES, RefusedError
from stfnet.serving.metrics import Metrics


class Frame(BaseModel):
    """A sampled frame."""

    number: int = Field(description="in the video, from 0")
    seconds: float = Field(description="since the beginning of the video")


class Prediction(BaseModel):
    """What the network says of a video."""

    label: str = Field(description="the most probable class")
    probabilities: dict[str, float] = Field(description="of every class, the largest first")
    num_frames: int = Field(description="of the video")
    fps: float = Field(description="frames a second of the video")
    seconds: float = Field(description="length of the video")
    frames: list[Frame] = Field(description="those that the network read")
    took: float = Field(description="seconds from the whole upload to the answer")


class Refusal(BaseModel):
    """Why there is no answer."""

    detail: str


class Health(BaseModel):
    """That the server lives, and what it serves."""

    status: str
    dataset: str
    classes: list[str]
    explains: bool
    in_hand: int


REFUSALS = {
    408: "the upload took too long",
    413: "the file is too large",
    422: "the file is no video that can be recognised, or too long",
    500: "the process that decoded the video died",
    503: "too many requests are in hand",
    504: "the computation took too long",
}


def make_app(jobs: Jobs) -> FastAPI:
    """The application of a server.

    Args:
        jobs: has the network and the limits.

    Returns:
        The page at `/`, `POST /api/predict`, `/docs`, `/health` and `/metrics`; to be
        put behind a `Guard` with `state.metrics`. `state.page` is Gradio's part of it.
    """
    limits, metrics = jobs.limits, Metrics(jobs)
    app = FastAPIOffline(
        title="STFNet",
        version=metadata.version("stfnet"),
        description=f"Names the action in a video. Files up to {limits.max_megabytes} MB and "
        f"{limits.max_seconds:g} s, {limits.queue} requests at once.",
        redoc_url=None,
        max_body_size=limits.max_bytes + FORM_BYTES,
        form_limits={"max_files": 1, "max_fields": 4},
    )
    app.add_middleware(Admission, jobs=jobs, kept=Path(get_upload_folder()))
    app.state.metrics = metrics

    @app.exception_handler(RefusedError)
    async def refuse(_: Request, error: RefusedError) -> Response:
        return JSONResponse({"detail": str(error)}, error.status)

    @app.post(
        PREDICT,
        responses={
            status: {"model": Refusal, "description": text} for status, text in REFUSALS.items()
        },
    )
    async def predict(
        video: Annotated[UploadFile, File(description="the video file")],
    ) -> Prediction:
        """Names the action in a video file."""
        begin = time.monotonic()
        with tempfile.NamedTemporaryFile() as file:
            await asyncio.to_thread(shutil.copyfileobj, video.file, file)
            file.flush()
            answer = await jobs.recognise(file.name)
        took = time.monotonic() - begin
        metrics.time("api", took)
        return Prediction(
            label=answer.ranking[0][0],
            probabilities=dict(answer.ranking),
            num_frames=answer.num_frames,
            fps=answer.fps,
            seconds=answer.seconds,
            frames=[Frame(number=number, seconds=seconds) for number, seconds in answer.frames],
            took=took,
        )

    @app.get("/health")
    async def health() -> Health:
        """Whether the server lives, and what it serves."""
        network = jobs.network
        return Health(
            status="ok",
            dataset=network.dataset,
            classes=list(network.classes),
            explains=network.explains,
            in_hand=jobs.in_hand,
        )

    @app.get("/metrics")
    async def figures() -> Response:
        """Figures for Prometheus."""
        return Response(metrics.text(), media_type=metrics.content_type)

    return page.mount(app, jobs, metrics)
