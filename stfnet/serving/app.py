"""The application: the REST endpoint, its documentation, health and figures, and the page.

No address takes the name of a file: the only files that are read are this module's page and what a
request brings along.
"""

import asyncio
import base64
import shutil
import tempfile
import time
from importlib import metadata
from pathlib import Path
from typing import Annotated, Any

import cv2
import numpy as np
from fastapi import FastAPI, File, Query, Request, Response, UploadFile
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, PlainTextResponse
from fastapi_offline import FastAPIOffline
from pydantic import BaseModel, Field

from stfnet.serving.admission import PREDICT, Admission, refusal
from stfnet.serving.jobs import Jobs
from stfnet.serving.limits import RefusedError
from stfnet.serving.metrics import Metrics

PAGE = Path(__file__).with_name("page.html")


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
    notes: list[str] = Field(description="what of the video was repaired or is damaged")
    took: float = Field(description="seconds from the whole upload to the answer")
    picture: str | None = Field(description="PNG in base64; null without `picture`")
    film: str | None = Field(description="WebM in base64; null without `film`, and of an export")


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
    max_megabytes: int
    max_seconds: float


REFUSALS = {
    400: "the form cannot be read, or has more in it than one file",
    408: "the upload took too long",
    413: "the file is too large",
    422: "the form has no file `video`, or it is no video that can be recognised, or too long",
    500: "the process that decoded the video died, or another fault of the server",
    503: "too many requests are in hand",
    504: "the computation took too long",
}


def make_app(jobs: Jobs) -> FastAPI:
    """The application of a server.

    Args:
        jobs: has the network and the limits.

    Returns:
        The page at `/`, `POST /api/predict`, `/docs`, `/health` and `/metrics`; to be
        put behind a `Guard` with `state.metrics`.
    """
    limits, metrics = jobs.limits, Metrics(jobs)
    app = FastAPIOffline(
        title="STFNet",
        version=metadata.version("stfnet"),
        description=f"Names the action in a video. Files up to {limits.max_megabytes} MB and "
        f"{limits.max_seconds:g} s, {limits.queue} requests at once.",
        redoc_url=None,
        redirect_slashes=False,
        form_limits={"max_files": 1, "max_fields": 4},
    )
    app.add_middleware(Admission, jobs=jobs)
    app.state.metrics = metrics

    @app.exception_handler(RefusedError)
    async def refuse(_: Request, error: RefusedError) -> Response:
        return refusal(error)

    @app.exception_handler(RequestValidationError)
    async def refuse_form(_: Request, error: RequestValidationError) -> Response:
        return refusal(RefusedError(422, "; ".join(map(_of_form, error.errors()))))

    @app.exception_handler(Exception)
    async def refuse_all(_: Request, error: Exception) -> Response:
        return refusal(RefusedError(500, "a fault of the server, which its log shows"))

    @app.post(
        PREDICT,
        responses={
            status: {"model": Refusal, "description": text} for status, text in REFUSALS.items()
        },
    )
    async def predict(
        request: Request,
        video: Annotated[UploadFile, File(description="the video file")],
        picture: Annotated[bool, Query(description="explain it by a picture")] = False,
        film: Annotated[bool, Query(description="explain it by a film: takes longer")] = False,
    ) -> Prediction:
        """Names the action in a video file."""
        begin = time.monotonic()
        if (video.size or 0) > limits.max_bytes:
            raise limits.too_large()
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
            path, film_path = Path(folder) / "video", Path(folder) / "film.webm"
            with path.open("wb") as file:
                await asyncio.to_thread(shutil.copyfileobj, video.file, file)
            wanted = str(film_path) if film and jobs.network.explains else None
            # The body is read, so all that can still come is that the client goes.
            answer = await jobs.recognise(
                str(path), draw=picture or film, film=wanted, gone=request.receive
            )
            shown_film = _base64(film_path.read_bytes()) if wanted else None
        shown = await asyncio.to_thread(_png, answer.picture) if picture else None
        took = time.monotonic() - begin
        metrics.time(took)
        return Prediction(
            label=answer.ranking[0][0],
            probabilities=dict(answer.ranking),
            num_frames=answer.num_frames,
            fps=answer.fps,
            seconds=answer.seconds,
            frames=[Frame(number=number, seconds=seconds) for number, seconds in answer.frames],
            notes=list(answer.notes),
            took=took,
            picture=shown,
            film=shown_film,
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
            max_megabytes=limits.max_megabytes,
            max_seconds=limits.max_seconds,
        )

    @app.get("/metrics", response_class=PlainTextResponse)
    async def figures() -> Response:
        """Figures for Prometheus."""
        return Response(metrics.text(), media_type=metrics.content_type)

    @app.get("/", include_in_schema=False)
    async def page() -> FileResponse:
        return FileResponse(PAGE)

    return app


def _of_form(fault: dict[str, Any]) -> str:
    """One fault that FastAPI found in a request, in words."""
    name = ".".join(map(str, fault["loc"][1:]))
    return "the form has no file `video`" if name == "video" else f"{name}: {fault['msg']}"


def _png(picture: np.ndarray | None) -> str | None:
    if picture is None:  # of a network without flow
        return None
    return _base64(cv2.imencode(".png", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))[1].tobytes())


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode()
