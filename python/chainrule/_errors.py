"""What a command refuses, as exceptions."""

from __future__ import annotations

import errno
import os

from sklearn.exceptions import NotFittedError

__all__ = ["ChainruleError", "InternalError", "MissingFileError", "NotFittedError", "RefusedError", "refused"]


class ChainruleError(Exception):
    """A command that came to no end: what is wrong, and what to do about it."""

    def __init__(self, kind, message, hint, file=None, place=None):
        super().__init__(kind, message, hint, file, place)
        #: ``usage``, ``config``, ``data``, ``model``, ``run``, ``io``, ``machine`` or ``internal``.
        self.kind: str = kind
        #: The error and its causes.
        self.message: str = message
        #: What to do about it.
        self.hint: str = hint
        #: The file at fault, if it is one.
        self.file: str | None = file
        #: The place in it.
        self.place: str | None = place

    def __str__(self) -> str:
        return f"{self.message}\nhint: {self.hint}"

    def __reduce__(self):
        # From process to process, as an engine's workers raise it.
        return type(self), (self.kind, self.message, self.hint, self.file, self.place)


class RefusedError(ChainruleError, ValueError):
    """The data, the settings or the run cannot be what is asked for."""


class MissingFileError(ChainruleError, FileNotFoundError):
    """A file that is not there."""

    def __init__(self, kind, message, hint, file=None, place=None):
        super().__init__(kind, message, hint, file, place)
        # As the operating system's errors have them.
        self.errno, self.strerror, self.filename = errno.ENOENT, message, file


class InternalError(ChainruleError, RuntimeError):
    """A fault of this package; the interpreter lives on."""


def refused(kind, message, hint, file, place) -> ChainruleError:
    """The exception for a refused command."""
    if kind == "internal":
        return InternalError(kind, message, hint, file, place)
    if file is not None and not os.path.exists(file):
        return MissingFileError(kind, message, hint, file, place)
    return RefusedError(kind, message, hint, file, place)
