"""The state that the database works out is the one that the rule derives, for all evidence."""

from datetime import UTC, datetime
from itertools import product

import pytest

from accounts.models import Mailbox, MailboxSync, User
from accounts.outcomes import state_of
from accounts.rules import Failure, State

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
PROBLEMS = [{"name": "Clients", "cause": "There is no such folder."}]


@pytest.mark.django_db
def test_every_evidence_has_the_same_state_in_sql_as_by_the_rule():
    for number, (grant, rejected, enabled) in enumerate(
        product(["", "grant"], [None, NOW], [False, True])
    ):
        user = User.objects.create(username=f"user{number}")
        mailbox = Mailbox.objects.create(
            user=user,
            grant_id=grant and f"{grant}{number}",
            rejected_at=rejected,
            email_enabled=enabled,
            calendar_enabled=not enabled,
        )
        rows = product([None, NOW], [None, NOW], [[], PROBLEMS], Failure, [None, NOW])
        for kind in ("email", "calendar"):
            # One row of a kind is allowed: each piece of evidence is written into it in turn.
            sync = MailboxSync.objects.create(mailbox=mailbox, kind=kind)
            for listed, backfilled, problems, failure, stopped in rows:
                sync.listed_at, sync.backfilled_at, sync.problems = listed, backfilled, problems
                sync.failure, sync.stopped_at = failure, stopped
                sync.save()
                found = MailboxSync.objects.with_state().get(pk=sync.pk)
                assert State(found.state) == state_of(found)
            rows = product([None, NOW], [None, NOW], [[], PROBLEMS], Failure, [None, NOW])


@pytest.mark.django_db
def test_the_state_can_be_filtered_by():
    user = User.objects.create(username="mia")
    mailbox = Mailbox.objects.create(user=user, grant_id="grant", email_enabled=True)
    sync = MailboxSync.objects.create(
        mailbox=mailbox, kind="email", listed_at=NOW, backfilled_at=NOW
    )
    states = MailboxSync.objects.with_state()
    assert list(states.filter(state=State.RUNNING)) == [sync]
    assert not states.filter(state=State.DOWNLOADING)
