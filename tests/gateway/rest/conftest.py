"""Files that take longer to make."""

import io
from collections.abc import Callable

import av
import numpy as np
import pytest


@pytest.fixture
def make_video() -> Callable[[], bytes]:
    """A short video without sound."""

    def make() -> bytes:
        out = io.BytesIO()
        with av.open(out, "w", format="matroska") as file:
            stream = file.add_stream("mpeg4", rate=25)
            assert isinstance(stream, av.VideoStream)
            stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
            for _ in range(5):
                picture = np.zeros((64, 64, 3), np.uint8)
                file.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
            file.mux(stream.encode(None))
        return out.getvalue()

    return make
