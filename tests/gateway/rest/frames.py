"""Finals as a session sends them."""

from gateway.messages import Frame
from tests.gateway.fake_triton import transcript


def final(
    text: str,
    start_s: float = 0.0,
    end_s: float = 1.0,
    *,
    language: str = "en",
    confidence: float = 0.9,
    words: list[tuple[str, float, float, float]] | None = None,
) -> Frame:
    """A final. Words are their text, start and end in seconds, and probability."""
    frame = transcript(0, True, text, language_code=language, confidence=confidence)
    frame["audio_length_sec"] = round(end_s - start_s, 3)
    for segment in frame["segments"]:
        segment |= {"start_time": start_s, "end_time": end_s, "language_code": language}
        segment["word_timestamps"] = [
            {"word": word, "start_time": start, "end_time": end, "prob": prob}
            for word, start, end, prob in words or []
        ]
    return frame
