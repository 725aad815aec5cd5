"""What a transcription request asks for: the form's fields, checked, as a session's first message.

Pure. The model below holds the names and limits of OpenAI's API that have a meaning here; other
fields are ignored, like theirs that other servers have. An empty field counts as not given. Errors
name the field, the value found, and what is accepted.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from gateway.accepted import describe_field
from gateway.messages import cut, show
from gateway.rest.errors import ApiError, Problem, bad_request
from pipeline.language import AUTO
from pipeline.options import MAX_PROMPT_CHARS, Language, LanguageOrAuto

ResponseFormat = Literal["json", "text", "srt", "verbose_json", "vtt"]
STREAMED_FORMATS = ("json", "text")
CHUNKING = "chunking_strategy"
SILENCE_MS = 1_000
"""That ends an utterance unless the request says otherwise. Nobody waits for a file's words as they
are spoken, and longer utterances have better punctuation: on 23 recordings of 9 s and more (1109
words, Whisper base) 97 words were wrong with 300 ms, 98 with 700, 93 with 1000 and with 2000."""
DIARIZATION_FIELDS = ("known_speaker_names", "known_speaker_references")


class ServerVad(BaseModel):
    """What ends an utterance; what is left out has the server's default."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    type: Literal["server_vad"]
    threshold: Annotated[float | None, Field(gt=0, lt=1)] = None
    """Speech probability that counts as speech."""
    silence_duration_ms: Annotated[int | None, Field(ge=0, le=10_000)] = None
    """Silence that ends an utterance."""
    prefix_padding_ms: int | None = None
    """Ignored: what is heard always begins a little before the speech."""


class TranscriptionForm(BaseModel):
    """The fields of `POST /v1/audio/transcriptions` beside the file."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    model: str | None = None
    """One of the names that `/v1/models` lists; all mean the model that is served. Default: the
    first of them."""
    language: LanguageOrAuto = AUTO
    """The language spoken. Default: it is found."""
    languages: Annotated[list[Language], Field(max_length=100)] = []
    """Without `language`: choose among these."""
    prompt: str = ""
    """Names and spellings to expect. The end of a long one counts."""
    keywords: list[str] = []
    """Words to expect; they are added to the prompt."""
    response_format: ResponseFormat = "json"
    temperature: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Has no effect: the most probable text is told."""
    timestamp_granularities: list[Literal["word", "segment"]] = []
    """With `verbose_json`: which times are told. Default: those of segments."""
    stream: bool = False
    """Tell the text as server-sent events while it is recognised."""
    include: list[Literal["logprobs"]] = []
    """With `json`: log-probabilities, one for each word."""
    chunking_strategy: Literal["auto"] | ServerVad | None = None
    """How the audio is cut into utterances."""


LISTS = frozenset({"languages", "keywords", "timestamp_granularities", "include"})


@dataclass(frozen=True, slots=True)
class Request:
    """A request that can be served."""

    form: TranscriptionForm
    metadata: str
    """The session's first message, JSON."""

    @property
    def words(self) -> bool:
        """Whether words and their times are told."""
        return "word" in self.form.timestamp_granularities

    @property
    def segments(self) -> bool:
        """Whether segments are told."""
        return "segment" in self.form.timestamp_granularities or not self.words


def parse_form(fields: Iterable[tuple[str, str]], models: Sequence[str]) -> Request:
    """The request that a form's text fields make. `models` are the names that are served.

    Raises:
        ApiError: a field cannot be used.
    """
    tree = _tree(fields)
    _refuse_diarization(tree)
    try:
        form = TranscriptionForm.model_validate(tree)
    except ValidationError as error:
        raise _error([dict(problem) for problem in error.errors()]) from None
    if form.model is not None and form.model not in models:
        raise unknown_model(form.model, models)
    _check_combination(form)
    return Request(form, json.dumps(_metadata(form)))


def unknown_model(name: str, models: Sequence[str]) -> ApiError:
    """A model that is not served, as OpenAI tells it: status 404."""
    message = (
        f"the model {show(name)} does not exist; served are {', '.join(models)} "
        "(the server's GATEWAY_MODELS)"
    )
    return ApiError(Problem(404, message, param="model", code="model_not_found"))


def _tree(fields: Iterable[tuple[str, str]]) -> dict[str, Any]:
    """The fields as a model takes them: `name[]` again and again is a list, `name[key]` an object.

    Of a field that comes twice the last counts.
    """
    tree: dict[str, Any] = {}
    for name, value in fields:
        group, _, key = name.removesuffix("]").partition("[")
        if not value:
            continue
        if group in LISTS:
            tree.setdefault(group, []).append(value)
        elif group == CHUNKING:
            _put_strategy(tree, key, value)
        else:
            tree[group] = value
    return tree


def _put_strategy(tree: dict[str, Any], key: str, value: str) -> None:
    if key:
        given = tree.get(CHUNKING)
        tree[CHUNKING] = (given if isinstance(given, dict) else {}) | {key: value}
        return
    try:
        tree[CHUNKING] = json.loads(value) if value.startswith("{") else value
    except (ValueError, RecursionError):
        raise bad_request(f"{CHUNKING}: found malformed JSON {show(value)}", CHUNKING) from None


def _refuse_diarization(tree: dict[str, Any]) -> None:
    asked = [name for name in DIARIZATION_FIELDS if name in tree]
    if tree.get("response_format") == "diarized_json":
        asked.append("response_format")
    if asked:
        raise bad_request(f"{asked[0]}: speaker diarization is not supported", asked[0])


def _check_combination(form: TranscriptionForm) -> None:
    if form.timestamp_granularities and form.response_format != "verbose_json":
        raise bad_request(
            "timestamp_granularities need response_format verbose_json",
            "timestamp_granularities",
        )
    if form.include and form.response_format != "json":
        raise bad_request("include logprobs needs response_format json", "include")
    if form.stream and form.response_format not in STREAMED_FORMATS:
        raise bad_request(
            f"response_format: found {show(form.response_format)}; with stream=true accepted is "
            f"{' or '.join(STREAMED_FORMATS)}",
            "response_format",
        )


def _metadata(form: TranscriptionForm) -> dict[str, Any]:
    prompt = " ".join(part for part in (form.prompt, ", ".join(form.keywords)) if part)
    tells_words = form.response_format in ("srt", "vtt") or bool(form.include)
    strategy = form.chunking_strategy
    vad = strategy if isinstance(strategy, ServerVad) else ServerVad(type="server_vad")
    return {
        "whisper_params": {
            "audio_language": form.language,
            "language_options": form.languages,
            "prompt": prompt[-MAX_PROMPT_CHARS:],
            "show_word_timestamps": tells_words or "word" in form.timestamp_granularities,
        },
        "streaming_vad_config": {
            "threshold": vad.threshold,
            "min_silence_duration_ms": (
                SILENCE_MS if vad.silence_duration_ms is None else vad.silence_duration_ms
            ),
        },
    }


def _error(problems: list[dict[str, Any]]) -> ApiError:
    name, *rest = problems[0]["loc"]
    for problem in problems:  # those of a union's members come one after the other
        key = problem["loc"][-1]
        if name == CHUNKING and key in ServerVad.model_fields:
            found, accepted = show(problem["input"]), describe_field(ServerVad, key)
            if problem["type"] == "missing":
                found = "nothing"
            return bad_request(f"{name}.{key}: found {found}; accepted is {accepted}", name)
    accepted = describe_field(TranscriptionForm, name, item=bool(rest) and name in LISTS)
    found = show(problems[0]["input"])
    return bad_request(f"{cut(name)}: found {found}; accepted is {accepted}", name)
