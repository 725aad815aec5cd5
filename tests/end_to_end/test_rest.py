"""OpenAI's Python package, unmodified, against the whole server."""

import asyncio
from collections.abc import AsyncIterator, Iterator

import numpy as np
import openai
import pytest
from openai import AsyncOpenAI, OpenAI

from pipeline.audio import SAMPLE_RATE
from scripts.server import Server
from tests.end_to_end.recordings import (
    DASHWOOD,
    GREGSON,
    JFK,
    MUSIC,
    clips,
    errors_in,
    language_of,
    samples,
)
from tests.end_to_end.sessions import no_stream_is_left
from tests.gateway.rest.audio_files import KINDS, encode

MODEL = "whisper-1"


def file_of(name: str, kind: str = "wav") -> tuple[str, bytes]:
    """A recording as a file of a kind, with its name."""
    return f"speech.{kind}", encode(kind, samples(name))


@pytest.fixture
def client(server: Server) -> Iterator[OpenAI]:
    base_url = f"http://{server.settings.address}/v1"
    with OpenAI(api_key="none is asked for", base_url=base_url, max_retries=0) as made:
        yield made


@pytest.fixture
async def async_client(server: Server) -> AsyncIterator[AsyncOpenAI]:
    base_url = f"http://{server.settings.address}/v1"
    async with AsyncOpenAI(api_key="none", base_url=base_url, max_retries=0) as made:
        yield made


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_of_every_kind_is_transcribed(client: OpenAI, kind: str) -> None:
    told = client.audio.transcriptions.create(file=file_of(JFK, kind), model=MODEL, language="en")
    assert errors_in(told.text, JFK).errors == 0
    assert told.usage is not None
    assert told.usage.type == "duration"
    assert told.usage.seconds in (11, 12)  # encoders add some milliseconds


@pytest.mark.parametrize("name", [name for name in clips() if name != MUSIC])
def test_the_language_is_found(client: OpenAI, name: str) -> None:
    told = client.audio.transcriptions.create(file=file_of(name), model=MODEL)
    assert told.languages is not None
    assert told.languages[0].code == language_of(name)


def test_words_and_segments_have_their_times(client: OpenAI) -> None:
    told = client.audio.transcriptions.create(
        file=file_of(JFK),
        model=MODEL,
        response_format="verbose_json",
        timestamp_granularities=["word", "segment"],
    )
    assert told.language == "english"
    assert told.duration == 11
    assert told.words is not None
    assert told.segments is not None
    assert " ".join(word.word for word in told.words) == told.text
    assert all(word.start <= word.end for word in told.words)
    starts = [word.start for word in told.words]
    assert starts == sorted(starts)
    (country, *_) = [word for word in told.words if word.word.startswith("country")]
    assert 5.4 < country.start < 6.4
    assert told.segments[0].start < 0.5
    assert told.segments[-1].end <= 11
    assert all(-1 < segment.avg_logprob <= 0 for segment in told.segments)


def test_subtitles_follow_the_speech(client: OpenAI) -> None:
    srt = client.audio.transcriptions.create(
        file=file_of(JFK, "mp3"), model=MODEL, response_format="srt"
    )
    cues = srt.strip().split("\n\n")
    assert [cue.split("\n")[0] for cue in cues] == [str(n) for n in range(1, len(cues) + 1)]
    assert len(cues) >= 3
    heard = " ".join(" ".join(cue.split("\n")[2:]) for cue in cues)
    assert errors_in(heard, JFK).errors == 0
    vtt = client.audio.transcriptions.create(
        file=file_of(JFK, "mp3"), model=MODEL, response_format="vtt"
    )
    assert vtt.startswith("WEBVTT\n\n")
    assert len(vtt.strip().split("\n\n")) == len(cues) + 1


def test_the_text_streams_and_is_only_added_to(client: OpenAI) -> None:
    pause = np.zeros(2 * SAMPLE_RATE, np.int16)
    names = (GREGSON, JFK, DASHWOOD)
    recording = np.concatenate([part for name in names for part in (samples(name), pause)])
    with client.audio.transcriptions.create(
        file=("speech.wav", encode("wav", recording)),
        model="gpt-4o-transcribe",
        language="en",
        stream=True,
    ) as stream:
        *deltas, done = stream
    assert done.type == "transcript.text.done"
    assert len(deltas) >= 3
    told = ""
    for delta in deltas:
        assert delta.type == "transcript.text.delta"
        told += delta.delta
        assert done.text.startswith(told)
    assert told == done.text
    assert errors_in(told, *names).errors <= 1


async def test_many_files_at_once(async_client: AsyncOpenAI) -> None:
    names = (GREGSON, DASHWOOD, JFK)
    told = await asyncio.gather(
        *(
            async_client.audio.transcriptions.create(file=file_of(name), model=MODEL, language="en")
            for name in names
        )
    )
    for name, one in zip(names, told, strict=True):
        assert errors_in(one.text, name).errors == 0


async def test_closing_the_stream_ends_the_session(
    async_client: AsyncOpenAI, server: Server
) -> None:
    long = encode("flac", np.tile(samples(JFK), 20))
    stream = await async_client.audio.transcriptions.create(
        file=("long.flac", long), model=MODEL, stream=True
    )
    await anext(aiter(stream))
    await stream.close()
    assert await no_stream_is_left(server)


def test_log_probabilities_are_told_for_every_word(client: OpenAI) -> None:
    told = client.audio.transcriptions.create(
        file=file_of(GREGSON), model=MODEL, include=["logprobs"]
    )
    assert told.logprobs is not None
    assert "".join(word.token or "" for word in told.logprobs) == told.text
    assert all(word.logprob is not None and -5 < word.logprob <= 0 for word in told.logprobs)


def test_a_prompt_sets_the_spelling_of_a_name(client: OpenAI) -> None:
    told = client.audio.transcriptions.create(
        file=file_of(GREGSON), model=MODEL, language="en", prompt="A story about Gregsohn."
    )
    assert "Gregsohn " in told.text


def test_music_has_no_text(client: OpenAI) -> None:
    told = client.audio.transcriptions.create(
        file=file_of(MUSIC), model=MODEL, language="en", response_format="text"
    )
    assert told == "\n"


def test_the_models_are_listed(client: OpenAI) -> None:
    ids = [model.id for model in client.models.list()]
    assert MODEL in ids
    assert client.models.retrieve(ids[0]).id == ids[0]


@pytest.mark.parametrize(
    ("options", "error", "code"),
    [
        ({"file": ("a.wav", b"")}, openai.BadRequestError, None),
        ({"file": ("a.wav", b"no audio at all")}, openai.BadRequestError, None),
        ({"file": ("a.wav", encode("wav", samples(GREGSON))[:9000])}, openai.BadRequestError, None),
        ({"model": "whisper-9"}, openai.NotFoundError, "model_not_found"),
        ({"response_format": "docx"}, openai.BadRequestError, None),
        ({"timestamp_granularities": ["letter"]}, openai.BadRequestError, None),
        ({"temperature": 7}, openai.BadRequestError, None),
        ({"language": "elvish"}, openai.BadRequestError, None),
    ],
    ids=["empty", "no audio", "truncated", "model", "format", "granularity", "temperature", "lang"],
)
def test_errors_are_those_of_the_package(
    client: OpenAI, options: dict[str, object], error: type[openai.APIStatusError], code: str | None
) -> None:
    given: dict[str, object] = {"file": file_of(GREGSON), "model": MODEL} | options
    with pytest.raises(error) as raised:
        client.audio.transcriptions.create(**given)  # type: ignore[call-overload]
    assert raised.value.code == code
    assert raised.value.type == "invalid_request_error"
    assert raised.value.body is not None


def test_translation_is_refused(client: OpenAI) -> None:
    with pytest.raises(openai.NotFoundError, match="translation is not supported"):
        client.post("/audio/translations", cast_to=object, files={"file": file_of(GREGSON)})
