"""TLS with a certificate that may be renewed while the server runs.

Knows no HTTP and no settings. Connections that are open keep the certificate that they began with;
handshakes after `reload` see the new one.
"""

import logging
import ssl
from pathlib import Path

logger = logging.getLogger(__name__)


class CertificateError(Exception):
    """A certificate or key that cannot be used; the text is one line."""


class Certificate:
    """A certificate and its key, in two files."""

    def __init__(self, certificate: Path, key: Path) -> None:
        """Raises CertificateError when they cannot be used."""
        self._files = certificate, key
        self._newest = _context(certificate, key)
        self.context = _context(certificate, key)
        """For a server that listens."""
        # Asked in every handshake, also of clients that name no server.
        self.context.sni_callback = self._take_the_newest

    def reload(self) -> None:
        """Read the files again. Files that cannot be used change nothing, and are logged."""
        try:
            self._newest = _context(*self._files)
        except CertificateError as error:
            logger.error("the certificate stays as it was: %s", error)
            return
        logger.info("the certificate has been read from %s", self._files[0])

    def _take_the_newest(
        self, connection: ssl.SSLObject, server: str | None, context: ssl.SSLContext
    ) -> None:
        connection.context = self._newest


def _context(certificate: Path, key: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)  # TLS 1.2 at least
    try:
        context.load_cert_chain(certificate, key, password=_no_passphrase)
    except ssl.SSLError as error:
        reason = (error.reason or "no PEM").lower().replace("_", " ")
        raise CertificateError(
            f"{certificate} and {key} are no certificate and its key: {reason}"
        ) from None
    except OSError as error:
        name = next((file for file in (certificate, key) if not _can_be_read(file)), certificate)
        raise CertificateError(f"{name} cannot be read: {error.strerror or error}") from None
    except ValueError:
        raise CertificateError(f"{key} has a passphrase; accepted is a key without one") from None
    return context


def _no_passphrase() -> str:
    """OpenSSL would ask for it at the terminal."""
    raise ValueError


def _can_be_read(file: Path) -> bool:
    try:
        file.read_bytes()
    except OSError:
        return False
    return True
