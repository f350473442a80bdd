"""A listener that keeps what a run reports."""

from __future__ import annotations

from assay.execution.events import Event, StateChanged


class Recorder:
    """A listener that keeps every event."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def on_event(self, event: Event) -> None:
        self.events.append(event)

    def on_idle(self) -> None:
        pass

    def states(self, key: str | None = None) -> list[tuple[str, str]]:
        """Return key and state of every change, of one key or of all."""
        changes = [event for event in self.events if isinstance(event, StateChanged)]
        return [(change.key, change.state) for change in changes if key in (None, change.key)]
