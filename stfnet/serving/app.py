"""The application: the REST endpoint, its documentation, health and figures, and the page.

No address takes the name of a file: the only files that are read are this module's page and what a
request brings along.
"""

import asyncio
import shutil
import tempfile
import time
from importlib import metadata
from pathlib import Path
from typing import Annotated

import python_multipart  # noqa: F401 - FastAPI would miss it only when the network is loaded
from fastapi import FastAPI, File, Query, Request, Response, UploadFile
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, JSONResponse, PlainTextResponse
from fastapi_offline import FastAPIOffline
from prometheus_client import CONTENT_TYPE_LATEST, Gauge, Histogram, generate_latest
from pydantic import BaseModel

from stfnet.serving.admission import PREDICT
from stfnet.serving.jobs import Jobs
from stfnet.serving.worker import Network, Prediction

PAGE = Path(__file__).with_name("page.html")
SECONDS = Histogram(
    "stfnet_request_seconds",
    "From the whole upload to the answer, of those that got one.",
    buckets=(0.5, 1, 2, 5, 10, 20, 50, 100, 200),
)
IN_HAND = Gauge("stfnet_requests_in_hand", "Being uploaded, waiting or computed.")
QUEUE_LIMIT = Gauge("stfnet_queue_limit", "Requests at once.")


class Refusal(BaseModel):
    """Why there is no answer."""

    detail: str


class Health(Network):
    """That the server lives, and what it serves."""

    status: str
    in_hand: int
    max_megabytes: int
    max_seconds: float


REFUSALS = {
    400: "the form cannot be read, or has more in it than one file",
    408: "the upload took too long",
    413: "the file is too large",
    422: "the form has no file `video`, or it is no video that can be recognised, or too long",
    500: "the process that decoded the video died, or another fault of the server",
    503: "too many requests are unfinished",
    504: "the computation took too long",
}


def make_app(jobs: Jobs) -> FastAPI:
    """The application of a server: the page at `/`, `POST /api/predict`, `/docs`, `/health` and
    `/metrics`; to be put behind an `Admission`.
    """
    limits = jobs.limits
    IN_HAND.set_function(lambda: jobs.in_hand)
    QUEUE_LIMIT.set(limits.queue)
    app = FastAPIOffline(
        title="STFNet",
        version=metadata.version("stfnet"),
        description=f"Names the action in a video. Files up to {limits.max_megabytes} MB and "
        f"{limits.max_seconds:g} s, {limits.queue} requests at once.",
        redoc_url=None,
        redirect_slashes=False,
        form_limits={"max_files": 1, "max_fields": 4},
    )

    @app.exception_handler(RequestValidationError)
    async def refuse_form(_: Request, error: RequestValidationError) -> Response:
        faults = {".".join(map(str, fault["loc"][1:])): fault["msg"] for fault in error.errors()}
        lines = [
            "the form has no file `video`" if name == "video" else f"{name}: {message}"
            for name, message in faults.items()
        ]
        return JSONResponse({"detail": "; ".join(lines)}, 422)

    @app.exception_handler(Exception)
    async def refuse_all(_: Request, error: Exception) -> Response:
        return JSONResponse({"detail": "a fault of the server, which its log shows"}, 500)

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
        limits.check_size(video.size or 0)
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
            path = Path(folder) / "video"
            with path.open("wb") as file:
                await asyncio.to_thread(shutil.copyfileobj, video.file, file)
            # The body is read, so all that can still come is that the client goes.
            answer = await jobs.recognise(str(path), picture, film, request.receive)
        answer.took = time.monotonic() - begin
        SECONDS.observe(answer.took)
        return answer

    @app.get("/health")
    async def health() -> Health:
        """Whether the server lives, and what it serves."""
        return Health(
            **jobs.network.model_dump(),
            status="ok",
            in_hand=jobs.in_hand,
            max_megabytes=limits.max_megabytes,
            max_seconds=limits.max_seconds,
        )

    @app.get("/metrics", response_class=PlainTextResponse)
    async def figures() -> Response:
        """Figures for Prometheus."""
        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)

    @app.get("/", include_in_schema=False)
    async def page() -> FileResponse:
        return FileResponse(PAGE)

    return app
