"""Errors, by who can mend them.

AssayError
├── UserError        the user's description, files or folders cannot be used: exit code 2, no traceback
│   └── FieldError   one field of a value breaks its rule
└── TrainingError    a training was described correctly and still failed: exit code 1
    ├── NotFinite    a loss is infinite or not a number: training again gives the same
    ├── OutOfMemory  the training does not fit this device's memory
    └── LostClaim    another process trains this key now
"""

from __future__ import annotations


class AssayError(Exception):
    """Base class of all errors that this package raises on purpose. The text is written for the user.

    Errors are sent between processes, so every subclass must survive pickling with its text and its attributes.
    """

    exit_code = 1


class UserError(AssayError):
    """A mistake in the user's input. Nothing was started and nothing was stored."""

    exit_code = 2


class FieldError(UserError):
    """A field whose value breaks its rule. The text holds the rule, the value, and, once known, the value's origin."""

    def __init__(self, rule: str, *, origin: str = "") -> None:
        # An exception is pickled as its class, the arguments of super().__init__, and its attributes.
        super().__init__(rule)
        self.rule = rule
        self.origin = origin

    def __str__(self) -> str:
        return f"{self.rule} (from {self.origin})." if self.origin else f"{self.rule}."

    def from_origin(self, origin: str) -> FieldError:
        """Return this error with the value's origin, unless it already has one."""
        return self if self.origin else FieldError(self.rule, origin=origin)


class TrainingError(AssayError):
    """An error that belongs to the experiment and is stored with it."""


class NotFinite(TrainingError):
    """A term of the loss became infinite or not a number."""


class OutOfMemory(TrainingError):
    """The training needed more memory than the device has."""


class LostClaim(TrainingError):
    """The claim on a key passed to another process while this process was suspended."""
