"""Older spellings of the metadata, mapped onto the present ones before anything is checked.

Clients in the field still send them: flat groups whose keys stand elsewhere now. Where a client
sends both spellings of a field, the present one counts. Values are not looked at here.
"""

from typing import Any

from gateway.messages import cut, show

Tree = dict[str, Any]


class MetadataError(ValueError):
    """Metadata that cannot be used. The text names the field, the value and what is accepted."""


LEGACY_GROUPS: dict[str, dict[str, str]] = {
    "vad_params": {
        "threshold": "streaming_vad_config.threshold",
        "min_silence_duration_ms": "streaming_vad_config.min_silence_duration_ms",
        "speech_pad_ms": "streaming_vad_config.speech_pad_ms",
    },
    "streaming_whisper_params": {
        "encoding": "streaming_params.encoding",
        "sample_rate": "streaming_params.sample_rate",
        "enable_partial_transcripts": "streaming_params.enable_partial_transcripts",
        "audio_language": "whisper_params.audio_language",
        "show_word_timestamps": "whisper_params.show_word_timestamps",
    },
    "asr_options": {
        "beam_size": "whisper_params.whisper_sampling_params.beam_width",
    },
}
"""The present path of each key of each older group."""


def map_legacy(given: Tree) -> tuple[Tree, dict[str, str]]:
    """The metadata in the present spelling, and the client's own for each field that was mapped.

    Raises:
        MetadataError: an older group is no object or has a key that it never had.
    """
    tree = {key: value for key, value in given.items() if key not in LEGACY_GROUPS}
    spelled: dict[str, str] = {}
    for group, paths in LEGACY_GROUPS.items():
        for key, value in _fields(given, group).items():
            if key not in paths:
                raise MetadataError(
                    f"{cut(f'{group}.{key}')}: unknown field; accepted are {', '.join(paths)}"
                )
            if _put(tree, paths[key].split("."), value):
                spelled[paths[key]] = f"{group}.{key}"
    return tree, spelled


def _fields(given: Tree, group: str) -> Tree:
    fields = given.get(group, {})
    if not isinstance(fields, dict):
        raise MetadataError(f"{group}: found {show(fields)}; accepted is an object")
    return fields


def _put(tree: Tree, path: list[str], value: Any) -> bool:
    """Set the value unless the path is taken; whether it was set. `tree` changes, copies inside."""
    name, *rest = path
    if not rest:
        return tree.setdefault(name, value) is value
    branch = tree.get(name, {})
    if not isinstance(branch, dict):
        return False  # the check of the present spelling will say so
    tree[name] = dict(branch)
    return _put(tree[name], rest, value)
