"""What a server takes from its clients, and how it says no."""

import dataclasses

from preprocessing.errors import UserError

MEGABYTE = 1_000_000
FORM_BYTES = 10_000  # what a form adds to the file in it: boundaries, headers, name


@dataclasses.dataclass(frozen=True)
class Limits:
    """What a server takes.

    Attributes:
        max_megabytes: size of a video file, in millions of bytes.
        max_seconds: length of a video.
        queue: requests in hand at once: being uploaded, waiting or computed.
        time_limit: seconds for an upload, and again for the computation of one request.
    """

    max_megabytes: int = 100
    max_seconds: float = 60.0
    queue: int = 8
    time_limit: float = 120.0

    @property
    def max_bytes(self) -> int:
        """Size of a video file, in bytes."""
        return self.max_megabytes * MEGABYTE

    def too_large(self) -> "RefusedError":
        """The refusal of a file above `max_bytes`."""
        return RefusedError(413, f"the video is larger than {self.max_megabytes} MB")


class RefusedError(UserError):
    """A request that gets no answer.

    Args:
        status: of HTTP.
        reason: one line for the client, without anything of this machine in it.
    """

    def __init__(self, status: int, reason: str):
        super().__init__(reason)
        self.status = status
