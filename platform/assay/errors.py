"""What can go wrong, and whose matter it is.

AssayError
├── UserError        what the user wrote or pointed at cannot be run: exit code 2, no traceback
│   └── FieldError   one field of a value breaks its rule
└── TrainingError    a training was well described and still failed: exit code 1
    ├── NotFinite    a loss is not a number: trying again gives the same
    ├── OutOfMemory  it does not fit this device
    └── LostClaim    another process trains this key now
"""

from __future__ import annotations


class AssayError(Exception):
    """Anything this package raises on purpose; its text is written for the person who runs it.

    Errors travel between processes, so every subclass must survive pickling with its text and its attributes.
    """

    exit_code = 1


class UserError(AssayError):
    """A mistake in what the user wrote; nothing has been started and nothing has been stored."""

    exit_code = 2


class FieldError(UserError):
    """A field's rule is broken: says the rule, the value, and (once known) where the value came from."""

    def __init__(self, rule: str, *, origin: str = "") -> None:
        # Exceptions are pickled as their class, the arguments passed here, and their attributes.
        super().__init__(rule)
        self.rule = rule
        self.origin = origin

    def __str__(self) -> str:
        return f"{self.rule} (from {self.origin})." if self.origin else f"{self.rule}."

    def from_origin(self, origin: str) -> FieldError:
        """The same error with the place where the value was written, unless it is known already."""
        return self if self.origin else FieldError(self.rule, origin=origin)


class TrainingError(AssayError):
    """A training ended with an error that belongs to the experiment, and is stored with it."""


class NotFinite(TrainingError):
    """A term of the loss became infinite or not a number."""


class OutOfMemory(TrainingError):
    """The device's memory did not suffice."""


class LostClaim(TrainingError):
    """The claim on a key went to another process while this one stood still."""
