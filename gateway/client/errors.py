"""Why a session did not come to its regular end, and whether trying again may help.

    ClientError
      ConnectError             no connection
        AddressError           the address is none
        RefusedError           an HTTP status instead of a websocket
          UnauthorizedError    401
      LostError                the connection broke
      ClosedError              the server closed it
        MetadataError          1008
        TooLargeError          1009
        ServerFailedError      1011
        RestartError           1012
        NotReadingError        1013
      GarbledError             the server sent what is no message
      RecognitionError         a part of the audio could not be transcribed

Knows no websocket library. `retry_after_s` is the server's own hint where it gives one.
"""

SOON_S = 0.5
"""When to try again after what may be over at once."""
LATER_S = 5.0
"""When to try again after a failure of the server."""
HTTP_UNAUTHORIZED = 401
HTTP_SERVER_ERROR = 500


class ClientError(Exception):
    """The session did not come to its regular end; the message says what happened."""

    retry_after_s: float | None = None
    """After how long trying again may help; None: it will not, as long as nothing is changed."""


class ConnectError(ClientError):
    """The server cannot be reached, or it does not speak websocket."""

    retry_after_s: float | None = SOON_S


class AddressError(ConnectError):
    """What was given is no address of a websocket."""

    retry_after_s = None


class RefusedError(ConnectError):
    """The server has answered with an HTTP status."""

    def __init__(
        self, message: str, status: int, kind: str | None = None, retry_after_s: float | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.kind = kind
        """The server's word for programs: `too_many_streams`, `overloaded`, `stopping` and others,
        see docs/protocol.md."""
        is_transient = status >= HTTP_SERVER_ERROR
        self.retry_after_s = (retry_after_s or LATER_S) if is_transient else None


class UnauthorizedError(RefusedError):
    """The server wants an API key, or another one."""


class LostError(ClientError):
    """The connection broke without a close frame."""

    retry_after_s = SOON_S


class ClosedError(ClientError):
    """The server has closed the connection."""

    def __init__(self, message: str, code: int, reason: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason
        """What its last error frame said, or its close frame."""


class MetadataError(ClosedError):
    """The metadata cannot be used; `reason` names the field."""


class TooLargeError(ClosedError):
    """A packet was larger than the server takes."""


class ServerFailedError(ClosedError):
    """The engine is unavailable, or the server has a defect."""

    retry_after_s = LATER_S


class RestartError(ClosedError):
    """The server stops; another one may serve by now."""

    retry_after_s = SOON_S


class NotReadingError(ClosedError):
    """This client has not read what it was sent."""


class GarbledError(ClientError):
    """The server has sent what is no message of its protocol."""


class RecognitionError(ClientError):
    """The engine failed on a part of the audio; the session itself goes on."""


_BY_CODE: dict[int, type[ClosedError]] = {
    1008: MetadataError,
    1009: TooLargeError,
    1011: ServerFailedError,
    1012: RestartError,
    1013: NotReadingError,
}


def closed(code: int, close_reason: str, told: str | None) -> ClosedError:
    """The error for a close code. `told` is what the last error frame said, if one came."""
    message = f"the server closed the connection: {code} {close_reason}".rstrip()
    kind = _BY_CODE.get(code, ClosedError)
    return kind(message, code, told or close_reason)


def refused(
    url: str, status: int, text: str, kind: str | None, retry_after_s: float | None, has_key: bool
) -> RefusedError:
    """The error for an HTTP status; `text` is what the server said."""
    said = f"{url} refused the connection with HTTP {status}"
    if status != HTTP_UNAUTHORIZED:
        return RefusedError(f"{said} {text}".rstrip(), status, kind, retry_after_s)
    hint = "the API key is wrong" if has_key else "it wants an API key"
    return UnauthorizedError(f"{said}: {hint}", status, kind)
