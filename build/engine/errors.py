"""The errors of the package: each message is a line that says what to do (or several such)."""


class EngineError(Exception):
    """Something is missing, damaged or does not fit; the message is for the user."""


class StepFailedError(EngineError):
    """A step of the build failed; `status` is the exit status of its command, if it has one."""

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


class BusyError(EngineError):
    """Another build is at work in the same folder."""


class AcceptanceOpenError(EngineError):
    """The engine is whole, but nothing has shown that it recognises speech."""
