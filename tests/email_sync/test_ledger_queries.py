"""Every question that screens and exports ask the ledger has an index to answer it by."""

from datetime import timedelta

import pytest
from django.db import connection

from email_sync.models import LedgerAddress, LedgerEntry
from tests.email_sync.fake_gateway import NOW

ENTRIES = LedgerEntry.objects.order_by()
DAY_AGO = NOW - timedelta(days=1)
QUESTIONS = {
    "user and outcome, newest first": lambda: ENTRIES.filter(user=1, outcome="unmatched").order_by(
        "-sent_at", "-id"
    )[:50],
    "user, outcome and time": lambda: ENTRIES.filter(
        user=1, outcome="matched", sent_at__gte=DAY_AGO
    ),
    "user and reason": lambda: ENTRIES.filter(user=1, reason="not-my-contact"),
    "user and source": lambda: ENTRIES.filter(user=1, source="nylas"),
    "time": lambda: ENTRIES.filter(processed_at__gte=DAY_AGO),
    "address": lambda: ENTRIES.of_address("ana@lumen.example"),
    "domain": lambda: ENTRIES.of_domain("lumen.example"),
    "user and domain": lambda: ENTRIES.filter(user=1).of_domain("lumen.example"),
    "message": lambda: ENTRIES.filter(user=1, message_key__in=["a", "b"]),
    "provider's id": lambda: ENTRIES.filter(user=1, provider_id__in=["a", "b"]),
    "what may expire": lambda: ENTRIES.expired(DAY_AGO),
    "failed texts": lambda: ENTRIES.filter(mailbox=1, outcome="failed", attempts__lt=3),
    "addresses of an entry": lambda: LedgerAddress.objects.filter(entry=1),
}


@pytest.mark.django_db
@pytest.mark.parametrize("question", QUESTIONS)
def test_no_question_reads_the_whole_ledger(question):
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            # A table of a few rows is read whole otherwise, index or not.
            cursor.execute("SET LOCAL enable_seqscan = off")
    plan = QUESTIONS[question]().explain()
    assert "Seq Scan" not in plan, plan
    assert "SCAN email_sync_ledger" not in plan, plan
    assert "index" in plan.lower(), plan
