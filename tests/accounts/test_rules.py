"""The ten states, the backoff and the schedule."""

import random
from datetime import UTC, datetime, timedelta

import pytest

from accounts.rules import (
    MAX_BACKOFF,
    Evidence,
    Failure,
    State,
    backoff,
    derive_state,
    next_regular,
    simplified,
)

HEALTHY = {"is_authorised": True, "is_listed": True, "is_backfilled": True}


@pytest.mark.parametrize(
    ("evidence", "state", "simple"),
    [
        ({"is_authorised": False}, State.NOT_CONNECTED, State.NOT_CONNECTED),
        ({"is_authorised": True}, State.INITIALIZING, State.VALID),
        ({"is_authorised": True, "is_listed": True}, State.DOWNLOADING, State.DOWNLOADING),
        (HEALTHY, State.RUNNING, State.VALID),
        ({**HEALTHY, "has_problems": True}, State.PARTIAL, State.VALID),
        ({**HEALTHY, "failure": Failure.TRANSIENT}, State.PARTIAL, State.VALID),
        ({**HEALTHY, "is_rejected": True}, State.INVALID_CREDENTIALS, State.INVALID),
        ({**HEALTHY, "failure": Failure.NOT_UNDERSTOOD}, State.EXCEPTION, State.INVALID),
        ({**HEALTHY, "failure": Failure.BUG}, State.SYNC_ERROR, State.INVALID),
        ({**HEALTHY, "failure": Failure.BUG, "is_stopped": True}, State.STOPPED, State.INVALID),
        ({**HEALTHY, "is_enabled": False}, State.VALID, State.VALID),
        ({**HEALTHY, "is_enabled": False, "is_rejected": True}, State.INVALID, State.INVALID),
        # A provider that is away while the folders were never listed is still the beginning.
        (
            {"is_authorised": True, "failure": Failure.TRANSIENT},
            State.INITIALIZING,
            State.VALID,
        ),
        # Only the rep can mend a rejected grant, so it outranks a stop.
        (
            {**HEALTHY, "is_rejected": True, "is_stopped": True},
            State.INVALID_CREDENTIALS,
            State.INVALID,
        ),
    ],
)
def test_the_state_follows_from_the_evidence(evidence, state, simple):
    assert derive_state(Evidence(**evidence)) == state
    assert simplified(state) == simple


def test_every_state_of_the_manual_can_come_about():
    reached = {
        "valid", "invalid", "downloading", "running", "partial", "invalid-credentials",
        "exception", "sync-error", "stopped", "initializing",
    }  # fmt: skip
    assert reached == set(State) - {State.NOT_CONNECTED}


def test_backoff_doubles_up_to_an_hour_and_never_asks_before_retry_after():
    chance = random.Random(1)
    delays = [backoff(n, retry_after=None, chance=chance) for n in (1, 2, 3, 50)]
    assert timedelta(seconds=22) < delays[0] < timedelta(seconds=38)
    assert delays[0] < delays[1] < delays[2] < delays[3] <= MAX_BACKOFF * 1.25
    assert all(
        backoff(1, retry_after=600, chance=chance) >= timedelta(seconds=600) for _ in range(100)
    )


def test_regular_passes_drift_apart():
    start = datetime(2026, 1, 1, tzinfo=UTC)
    due = {
        next_regular(start, interval=timedelta(minutes=5), chance=random.Random(n))
        for n in range(50)
    }
    assert len(due) == 50
    assert min(due) >= start + timedelta(minutes=4.5)
    assert max(due) <= start + timedelta(minutes=5.5)
