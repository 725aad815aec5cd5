"""A-law against libsndfile's."""

import io

import numpy as np
import soundfile

from gateway.dialects.g711 import expand_alaw

EVERY_CODE = bytes(range(256))


def test_every_code_is_the_sample_that_libsndfile_makes_of_it() -> None:
    expected, _ = soundfile.read(
        io.BytesIO(EVERY_CODE),
        dtype="int16",
        samplerate=8000,
        channels=1,
        format="RAW",
        subtype="ALAW",
    )
    assert np.frombuffer(expand_alaw(EVERY_CODE), "<i2").tolist() == expected.tolist()


def test_no_bytes_are_no_samples() -> None:
    assert expand_alaw(b"") == b""
