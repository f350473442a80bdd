"""Events reach every listener."""

from __future__ import annotations

from recorder import Recorder

from assay.execution.events import Evaluated, GangFailed, Listeners, StateChanged, StepDone


def test_every_listener_receives_every_event_in_order() -> None:
    first, second = Recorder(), Recorder()
    events = [
        StateChanged(key="a", state="running"),
        StepDone(key="a", step=1, loss=2.0),
        Evaluated(key="a", step=1, miou=0.5),
    ]
    both = Listeners((first, second))
    for event in events:
        both.on_event(event)
    assert first.events == second.events == events


def test_a_gangs_failure_names_cause_node_and_cure() -> None:
    failure = GangFailed(gang="gang 0", cause="gloo found no interface.", node="b", cure="Set GLOO_SOCKET_IFNAME.")
    assert failure.text() == "gang 0 failed on node b: gloo found no interface. Set GLOO_SOCKET_IFNAME."
    assert GangFailed(gang="gang 0", cause="so").text() == "gang 0 failed: so."
