"""Language codes as they arrive in the wild."""

import pytest

from pipeline.language import AUTO, LANGUAGES, normalize_language


@pytest.mark.parametrize(
    ("tag", "code"),
    [
        ("en", "en"),
        ("EN", "en"),
        (" en-US ", "en"),
        ("pt_BR", "pt"),
        ("zh-Hant-TW", "zh"),
        ("iw", "he"),
        ("in", "id"),
        ("nb-NO", "no"),
        ("fil", "tl"),
        ("cmn", "zh"),
        ("jv", "jw"),
        ("yue", "yue"),
        ("haw", "haw"),
    ],
)
def test_tags_become_whispers_codes(tag: str, code: str) -> None:
    assert normalize_language(tag) == code


@pytest.mark.parametrize("tag", ["", " ", "xx", "english", "en/US", "auto", "-en", "<|en|>"])
def test_other_tags_are_refused_and_named(tag: str) -> None:
    with pytest.raises(ValueError, match="is not a language Whisper knows; accepted are") as error:
        normalize_language(tag)
    assert repr(tag) in str(error.value)


def test_the_list_is_whispers() -> None:
    assert len(LANGUAGES) == 100
    assert AUTO not in LANGUAGES
    assert all(normalize_language(code) == code for code in LANGUAGES)
