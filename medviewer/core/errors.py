"""Errors that a user is told about, and the exit status each one has on the command line."""

from __future__ import annotations


class UserError(Exception):
    """Something the user can understand and mend.

    `message` is one sentence saying what happened, `hint` one saying what to do. Anything that is not a
    UserError is a defect of the program and goes to the log instead.
    """

    code = "error"
    exit_status = 1

    def __init__(self, message: str, hint: str = "", *, code: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        if code is not None:
            self.code = code

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".strip()


class WrongUsage(UserError):
    """The call itself makes no sense (unknown option value, empty prompt)."""

    code = "wrong-usage"
    exit_status = 2


class InputRefused(UserError):
    """A file or prompt cannot be used as it is; nothing was guessed."""

    code = "input-refused"
    exit_status = 3


class ModelMissing(UserError):
    """A model or device that was asked for is not installed or not available."""

    code = "model-missing"
    exit_status = 4


class OutputNotWritten(UserError):
    """An output could not be written, or did not read back equal; the old file, if any, is intact."""

    code = "output-not-written"
    exit_status = 5


class Cancelled(UserError):
    """The user cancelled the job. Not a failure."""

    code = "cancelled"
    exit_status = 130

    def __init__(self, message: str = "Cancelled.", hint: str = "") -> None:
        super().__init__(message, hint)
