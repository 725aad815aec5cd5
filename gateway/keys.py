"""The API keys: from the settings and from a file that is read again when the operator says so.

A file has a key in each line, `KEY [NAME] [max_streams=N]`; empty lines, and those that begin with
`#`, are left out. The name stands in the log in place of the key, which nothing here shows: errors
name the line. Knows no HTTP; where a request carries a key is `gateway.auth`'s.
"""

import logging
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from gateway.auth import shown_key

FORMAT = "accepted is KEY [NAME] [max_streams=N] in each line"
_LIMIT = "max_streams="
_NUMBER = re.compile(r"[1-9][0-9]{0,5}")

logger = logging.getLogger(__name__)


class KeysError(Exception):
    """A file of keys that cannot be used; the text is one line without any key."""


@dataclass(frozen=True, slots=True)
class Key:
    """One key."""

    secret: str = field(repr=False)
    name: str
    max_streams: int | None = None
    """Streams at a time with this key; None: as many as the server has."""


ANYBODY = Key("", "anybody")
"""Stands for all clients of a server that has no keys."""


class Keys:
    """The keys that count now. Without any, everybody is let in."""

    def __init__(self, secrets: Sequence[str] = (), file: Path | None = None) -> None:
        """`secrets` count as long as the process runs, those of the file until it is read again.

        Raises:
            KeysError: the file cannot be used.
        """
        self._fixed = tuple(Key(secret, f"key {n}") for n, secret in enumerate(secrets, start=1))
        self._file = file
        self._take(() if file is None else read_keys(file))

    @property
    def secrets(self) -> tuple[str, ...]:
        """What may be shown at the door."""
        return tuple(self._by_secret)

    def reload(self) -> None:
        """Read the file again. Keys that are gone open nothing any more; the streams that they
        have opened go on. A file that cannot be used changes nothing, and is logged."""
        if self._file is None:
            return
        try:
            keys = read_keys(self._file)
        except KeysError as error:
            logger.error("the keys stay as they were: %s", error)
            return
        self._take(keys)
        logger.info("%d keys have been read from %s", len(keys), self._file)

    def opens(
        self, authorization: str | None, subprotocols: str | None, shown: str | None = None
    ) -> Key | None:
        """The key that these headers carry, None without one that counts.

        `shown`: one of `secrets` that the request has shown in another way already.
        """
        if not self._by_secret:
            return ANYBODY
        secret = shown or shown_key(authorization, self.secrets, subprotocols)
        return None if secret is None else self._by_secret.get(secret)

    def _take(self, keys: Sequence[Key]) -> None:
        # The file's go first: they may have a name and a limit.
        self._by_secret = {key.secret: key for key in (*self._fixed, *keys)}


def read_keys(file: Path) -> tuple[Key, ...]:
    """The keys of a file, one at least.

    Raises:
        KeysError: it cannot be read, or a line of it is none of the format.
    """
    try:
        text = file.read_text(encoding="utf-8")
    except OSError as error:
        raise KeysError(f"{file} cannot be read: {error.strerror or error}") from None
    except UnicodeDecodeError:
        raise KeysError(f"{file} is no UTF-8; {FORMAT}") from None
    keys = tuple(_parse(text, file))
    if not keys:
        raise KeysError(f"{file} has no key; {FORMAT}")
    return keys


def _parse(text: str, file: Path) -> Iterator[Key]:
    found: set[str] = set()
    for number, line in enumerate(text.splitlines(), start=1):
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        where = f"{file}, line {number}"
        key = _key(words, f"key of line {number}", where)
        if key.secret in found:
            raise KeysError(f"{where}: the key stands there twice")
        found.add(key.secret)
        yield key


def _key(words: list[str], default_name: str, where: str) -> Key:
    secret, *rest = words
    limits = [word.removeprefix(_LIMIT) for word in rest if word.startswith(_LIMIT)]
    names = [word for word in rest if not word.startswith(_LIMIT)]
    if len(limits) > 1 or len(names) > 1 or secret.startswith(_LIMIT):
        raise KeysError(f"{where} cannot be used; {FORMAT}")
    if limits and not _NUMBER.fullmatch(limits[0]):
        raise KeysError(f"{where}: max_streams must be an integer from 1 to 999999")
    most = int(limits[0]) if limits else None
    return Key(secret, names[0] if names else default_name, most)
