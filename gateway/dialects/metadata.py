"""A session's metadata, made by a dialect of what its client asked for.

Pure. The check is `gateway.protocol`'s own; here its complaints get the client's names.
"""

import json
from collections.abc import Mapping
from typing import Any

from gateway.legacy import MetadataError
from gateway.protocol import parse_metadata

Tree = dict[str, Any]
LANGUAGE = "whisper_params.audio_language"
LANGUAGE_OPTIONS = "whisper_params.language_options"
PROMPT = "whisper_params.prompt"
SAMPLE_RATE = "streaming_params.sample_rate"
MIN_SILENCE = "streaming_vad_config.min_silence_duration_ms"
THRESHOLD = "streaming_vad_config.threshold"


class OptionError(ValueError):
    """An option of the client cannot be used; the text names it, and what is accepted."""

    def __init__(self, name: str, problem: str) -> None:
        super().__init__(f"{name}: {problem}")
        self.name = name
        self.problem = problem


def checked(metadata: Tree, names: Mapping[str, str]) -> str:
    """The metadata as a session's first message.

    Args:
        names: the client's own name of each field that it can have got wrong.

    Raises:
        OptionError: a field cannot be used.
    """
    text = json.dumps(metadata)
    try:
        parse_metadata(text)
    except MetadataError as error:
        complaint = str(error)
        for field, name in names.items():
            complaint = complaint.replace(field, name)
        name, _, problem = complaint.partition(": ")
        raise OptionError(name, problem) from None
    return text


def prompt_of(*parts: str | None) -> str:
    """Parts of a prompt as one, in this order."""
    return " ".join(part.strip() for part in parts if part and part.strip())


def terms(words: list[str]) -> str:
    """Words to expect, as a prompt."""
    return f"{', '.join(words)}." if words else ""
