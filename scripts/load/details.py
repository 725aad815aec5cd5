"""Everything that a load test found as JSON: times in seconds, words and messages one by one."""

import json
from collections.abc import Sequence
from typing import Any

from scripts.load.metrics import Flicker, Quantiles
from scripts.load.results import Errors, Machine, Step, Stream
from scripts.load.run import Run


def document(run: Run, steps: Sequence[Step]) -> str:
    """The whole of it."""
    content = {
        "run": {"command": run.command, **run.facts()},
        "recordings": [
            {
                "wav": clip.name,
                "language": clip.language,
                "duration_s": round(clip.duration_s, 3),
                "said": clip.said,
                "heard_alone": clip.speech.text,
                "word_times_measured": clip.speech.measured,
            }
            for clip in run.clips
        ],
        "steps": [as_json(step) for step in steps],
    }
    return json.dumps(content, ensure_ascii=False, indent=1) + "\n"


def as_json(step: Step) -> dict[str, Any]:
    """A step with every stream, word and message, for machines."""
    return {
        "streams_offered": step.offered,
        "streams_held": step.held,
        "first_partial_s": _rounded(step.first_partial_s),
        "first_text_s": _rounded(step.first_text_s),
        "partial_lag_s": _rounded(step.lag_s),
        "final_latency_s": _rounded(step.final_latency_s),
        "words_spoken": step.words_spoken,
        "words_never_shown": step.words_unseen,
        "flicker": _flicker_json(step.flicker),
        "word_errors": _errors_json(step.errors),
        "failures": dict(step.failures),
        "failure_reasons": dict(step.reasons),
        "server_errors": dict(step.server_errors),
        "generator": {
            "kept_time": step.kept_time,
            "send_lateness_s": _rounded(step.lateness_s),
            "blocked_by_server_s": round(step.blocked_s, 4),
            "cpu_s": round(step.machine.generator_cpu_s, 3),
        },
        "machine": _machine_json(step.machine),
        "streams": [_stream_json(stream) for stream in step.streams],
    }


def _rounded(values: Quantiles) -> dict[str, float | int | None]:
    return {
        name: value if value is None else round(value, 4)
        for name, value in values._asdict().items()
    }


def _flicker_json(flicker: Flicker) -> dict[str, Any]:
    return {
        "taken_back_per_word": flicker.rate,
        "erased_per_word": flicker.erasure_rate,
        "taken_back": flicker.taken_back,
        "erased": flicker.erased,
        "words": flicker.words,
    }


def _errors_json(errors: Errors) -> dict[str, Any]:
    return {
        "wer_percent": errors.rate_percent,
        "alone_wer_percent": errors.alone_percent,
        "languages": {
            language: {
                "words": found.words,
                "errors": found.errors,
                "wer_percent": found.rate_percent if found.words else None,
                "alone_errors": errors.alone[language].errors if language in errors.alone else None,
            }
            for language, found in errors.heard.items()
        },
    }


def _machine_json(machine: Machine) -> dict[str, Any]:
    return {
        "wall_s": round(machine.wall_s, 3),
        "audio_s": round(machine.audio_s, 3),
        "server_cpu_s": machine.server_cpu_s,
        "server_cpu_per_audio_s": machine.cpu_per_audio_s,
        "server_cores": machine.cores,
        "cpu_s_by_process": {kind: round(cpu_s, 3) for kind, cpu_s in machine.cpu_s.items()},
        "others_cpu_s": round(machine.other_cpu_s, 3),
        "memory_begin_bytes": machine.memory_begin_bytes,
        "memory_end_bytes": machine.memory_end_bytes,
    }


def _stream_json(stream: Stream) -> dict[str, Any]:
    track = stream.track
    return {
        "index": track.index,
        "language": track.language,
        "audio": track.form,
        "held": stream.held,
        "sent_s": round(track.sent_s, 3),
        "failure": track.failure._asdict() if track.failure else None,
        "errors": track.errors,
        "flicker": stream.flicker.rate,
        "final_latency_s": [round(each, 4) for each in stream.final_latency_s],
        "utterances": [
            {"begin_s": round(each.begin_s, 3), "partial_s": each.partial_s, "text_s": each.text_s}
            for each in stream.first
        ],
        "recordings": [
            {"wav": each.clip.name, "begin_s": round(each.begin_s, 3), "whole": each.whole}
            for each in track.played
        ],
        "words": [
            [each.word.token, round(each.word.end_s, 3), each.seen_s and round(each.seen_s, 4)]
            for each in stream.seen
        ],
        "messages": [shown._asdict() for shown in track.shown],
    }
