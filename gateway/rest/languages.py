"""The English names of Whisper's languages: `verbose_json` tells those and not codes.

Pure data. The names are those of openai/whisper's tokenizer (`whisper/tokenizer.py`, LANGUAGES), in
the order of the languages' tokens.
"""

from pipeline.language import LANGUAGES_IN_ORDER

_NAMES = (
    "english, chinese, german, spanish, russian, korean, french, japanese, portuguese, turkish, "
    "polish, catalan, dutch, arabic, swedish, italian, indonesian, hindi, finnish, vietnamese, "
    "hebrew, ukrainian, greek, malay, czech, romanian, danish, hungarian, tamil, norwegian, thai, "
    "urdu, croatian, bulgarian, lithuanian, latin, maori, malayalam, welsh, slovak, telugu, "
    "persian, latvian, bengali, serbian, azerbaijani, slovenian, kannada, estonian, macedonian, "
    "breton, basque, icelandic, armenian, nepali, mongolian, bosnian, kazakh, albanian, swahili, "
    "galician, marathi, punjabi, sinhala, khmer, shona, yoruba, somali, afrikaans, occitan, "
    "georgian, belarusian, tajik, sindhi, gujarati, amharic, yiddish, lao, uzbek, faroese, "
    "haitian creole, pashto, turkmen, nynorsk, maltese, sanskrit, luxembourgish, myanmar, tibetan, "
    "tagalog, malagasy, assamese, tatar, hawaiian, lingala, hausa, bashkir, javanese, sundanese, "
    "cantonese"
).split(", ")
NAMES = dict(zip(LANGUAGES_IN_ORDER, _NAMES, strict=True))


def name_of(code: str) -> str:
    """The name of a language; a code that has none stands for itself."""
    return NAMES.get(code, code)
