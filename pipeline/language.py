"""Language codes: Whisper's own list, and the spellings of them that arrive in the wild.

Pure data and look-ups; which token stands for a language is `pipeline.tokens`' business.
The codes are those of openai/whisper's tokenizer (`whisper/tokenizer.py`, LANGUAGES); `yue` came
with large-v3.
"""

AUTO = "auto"
UNDETERMINED = "und"
"""ISO 639-2's code for a language that nobody could tell. Clients lose a final without a code."""

LANGUAGES_IN_ORDER = tuple(
    "en zh de es ru ko fr ja pt tr pl ca nl ar sv it id hi fi vi he uk el ms cs ro da hu ta no th "
    "ur hr bg lt la mi ml cy sk te fa lv bn sr az sl kn et mk br eu is hy ne mn bs kk sq sw gl mr "
    "pa si km sn yo so af oc ka be tg sd gu am yi lo uz fo ht ps tk nn mt sa lb my bo tl mg as tt "
    "haw ln ha ba jw su yue".split()
)
"""In the order of their tokens: a model with 99 languages has all but the last."""
LANGUAGES = frozenset(LANGUAGES_IN_ORDER)

UNSPACED_LANGUAGES = frozenset({"zh", "ja", "th", "lo", "my", "yue"})
"""Written without spaces: openai/whisper's tokenizer takes every character for a word there."""

_ALIASES = {"iw": "he", "in": "id", "ji": "yi", "jv": "jw", "nb": "no", "fil": "tl", "cmn": "zh"}
"""Codes of ISO 639 and BCP-47 that mean one of Whisper's (withdrawn, macro or newer codes)."""


def normalize_language(value: str) -> str:
    """Whisper's code for a language tag: `en-US` and `EN` are `en`.

    Raises:
        ValueError: the tag names no language that Whisper knows.
    """
    primary = value.strip().lower().replace("_", "-").partition("-")[0]
    code = _ALIASES.get(primary, primary)
    if code not in LANGUAGES:
        raise ValueError(
            f"{value!r} is not a language Whisper knows; accepted are ISO 639-1 codes such as "
            "en, es, fr, de, ru, zh, ja (a region as in en-US is ignored)"
        )
    return code
