"""Nylas's webhooks: who is believed, what is taken, and what it leads to."""

import gzip
import hashlib
import hmac
import json
import threading
import time
import zlib
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from unittest import mock
from urllib.parse import parse_qs

import pytest
import requests
from django.core import mail
from django.core.cache import cache
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import Client
from django.utils import timezone

from accounts.management.commands import webhook as command
from accounts.models import (
    Mailbox,
    MailboxSync,
    WebhookCounter,
    WebhookNotification,
    WebhookRegistration,
)
from accounts.outcomes import state_of
from accounts.signals import notification_received, sync_wanted
from accounts.system_settings import current
from accounts.webhooks import Malformed, check_grant, forget_old, read_notification
from crm_sync.celery import app as celery
from crm_sync.providers.errors import (
    ApplicationRejected,
    PermanentError,
    ReconnectRequired,
    TransientError,
)
from crm_sync.providers.nylas import NylasGateway
from crm_sync.providers.types import Grant, Webhook
from email_sync import receivers, tasks
from email_sync.models import Email, LedgerEntry
from email_sync.sync import sync_mailbox
from tests.conftest import sandbox_server, wait_until
from tests.factories import ContactFactory, RunningMailboxFactory, UserFactory

URL = "/webhooks/nylas/"
SECRET = "a webhook's secret"
NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
GRANT = "grant-mia"


@pytest.fixture(autouse=True)
def secret(settings):
    settings.NYLAS_WEBHOOK_SECRET = SECRET
    return SECRET


@pytest.fixture
def mailbox(db):
    return RunningMailboxFactory(user=UserFactory(username="mia"), grant_id=GRANT)


@pytest.fixture
def heard(db):
    """What was passed on: (kind, object id, mailbox)."""
    found = []

    def listen(sender, kind, object_id, mailbox, **more):
        found.append((kind, object_id, mailbox.pk))

    # Nothing goes on the queue here: the receivers above have tests of their own.
    with mock.patch.object(notification_received, "receivers", []):
        notification_received.sender_receivers_cache.clear()
        notification_received.connect(listen)
        yield found
    notification_received.sender_receivers_cache.clear()


def sign(body, secret=SECRET):
    return hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


def envelope(type="message.created", id="n1", **about):
    about = {"id": "m1", "object": "message", "grant_id": GRANT, **about}
    return {
        "specversion": "1.0",
        "type": type,
        "source": "/google/emails/realtime",
        "id": id,
        "time": 1_700_000_000,
        "webhook_delivery_attempt": 1,
        "data": {"application_id": "app", "object": about},
    }


def post(content=None, *, body=None, signature=None, client=None, **headers):
    body = json.dumps(envelope() if content is None else content).encode() if body is None else body
    return (client or Client(enforce_csrf_checks=True)).generic(
        "POST",
        URL,
        body,
        content_type="application/json",
        headers={"X-Nylas-Signature": sign(body) if signature is None else signature, **headers},
    )


def deliver(capture, content=None, **more):
    """Post, with what happens after the commit."""
    with capture(execute=True):
        return post(content, **more)


def counters():
    return dict(WebhookCounter.objects.values_list("name", "count"))


# --- the challenge -------------------------------------------------------------------------------


@pytest.mark.parametrize("value", ["abc-123", "ä b&c", "<script>alert(1)</script>", "x" * 256])
def test_the_challenge_is_answered_with_exactly_its_value(client, db, value):
    response = client.get(URL, {"challenge": value})
    assert (response.status_code, response.content.decode()) == (200, value)
    assert response["Content-Type"].startswith("text/plain")
    assert response["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize("query", [{}, {"challenge": ""}, {"challenge": "x" * 257}])
def test_without_a_short_challenge_there_is_nothing_to_get(client, db, query):
    response = client.get(URL, query)
    assert response.status_code == 400
    assert b"xxx" not in response.content


@pytest.mark.parametrize("method", ["put", "delete", "patch", "head"])
def test_other_methods_are_refused(client, db, method):
    assert getattr(client, method)(URL).status_code == 405


# --- the signature -------------------------------------------------------------------------------


def everything_but_counters():
    from django.apps import apps

    return {
        model: list(model._default_manager.order_by("pk").values())
        for model in apps.get_models()
        if model is not WebhookCounter
    }


BODY = json.dumps(envelope()).encode()
FORGERIES = {
    "none": "",
    "another secret": sign(BODY, "guess"),
    "no secret": sign(BODY, ""),
    "another body": sign(BODY + b" "),
    "cut": sign(BODY)[:-1],
    "longer": sign(BODY) + "0",
    "in capitals": sign(BODY).upper(),
    "with its algorithm": "sha256=" + sign(BODY),
    "not ASCII": "ä" * 64,
}


@pytest.mark.parametrize("forgery", FORGERIES)
def test_a_forged_request_gets_401_and_leaves_its_counter_and_nothing_else(
    mailbox, heard, forgery, django_capture_on_commit_callbacks
):
    before = everything_but_counters()
    with django_capture_on_commit_callbacks() as callbacks:
        response = post(body=BODY, signature=FORGERIES[forgery])
    assert response.status_code == 401
    assert counters() == {"bad-signature": 1}
    assert everything_but_counters() == before
    assert callbacks == heard == []
    assert "Set-Cookie" not in response


def test_a_forged_request_costs_two_small_queries(mailbox, django_assert_num_queries):
    post(body=BODY, signature="forged")
    with django_assert_num_queries(2) as queries:
        post(body=BODY, signature="forged")
    assert [query["sql"].split()[0] for query in queries.captured_queries] == ["SELECT", "UPDATE"]
    assert counters() == {"bad-signature": 2}


def test_without_a_secret_every_webhook_is_refused(mailbox, settings):
    settings.NYLAS_WEBHOOK_SECRET = ""
    for secret in ("", SECRET, "None"):
        assert post(body=BODY, signature=sign(BODY, secret)).status_code == 401
    assert not WebhookNotification.objects.exists()


def test_the_signature_is_over_the_bytes_and_not_over_what_they_say(mailbox):
    spaced = json.dumps(envelope(), indent=1).encode()
    assert post(body=spaced, signature=sign(BODY)).status_code == 401
    assert post(body=spaced).status_code == 200


def test_a_rotated_secret_is_accepted_for_an_hour(mailbox, settings):
    settings.NYLAS_WEBHOOK_SECRET = ""
    WebhookRegistration.objects.adopt("w1", "old", now=NOW - timedelta(days=1))
    WebhookRegistration.objects.adopt("w2", "of another", now=NOW - timedelta(days=1))
    WebhookRegistration.objects.adopt("w1", "new", now=NOW)

    def statuses(minutes):
        with mock.patch.object(timezone, "now", return_value=NOW + timedelta(minutes=minutes)):
            return [
                post(body=BODY, signature=sign(BODY, secret)).status_code
                for secret in ("old", "of another", "new")
            ]

    assert statuses(59) == [200, 200, 200]
    assert statuses(61) == [401, 200, 200]


def test_secrets_are_stored_encrypted(db):
    WebhookRegistration.objects.adopt("w1", "plain text", now=NOW)
    with connection.cursor() as cursor:
        cursor.execute("SELECT secret FROM accounts_webhookregistration")
        assert "plain text" not in cursor.fetchone()[0]


# --- the body ------------------------------------------------------------------------------------


def test_a_compressed_body_is_signed_as_compressed(
    mailbox, heard, django_capture_on_commit_callbacks
):
    packed = gzip.compress(BODY)
    capture = django_capture_on_commit_callbacks
    headers = {"Content-Encoding": "gzip"}
    assert post(body=packed, signature=sign(BODY), **headers).status_code == 401
    assert deliver(capture, body=packed, **headers).status_code == 200
    assert heard == [("message", "m1", mailbox.pk)]
    # A proxy may drop the header, or unpack the body and leave the header.
    other = gzip.compress(json.dumps(envelope(id="n2")).encode())
    assert deliver(capture, body=other).status_code == 200
    assert deliver(capture, envelope(id="n3"), **headers).status_code == 200
    assert len(heard) == 3


BOMB = gzip.compress(b" " * 50_000_000)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"\xff",
        b'{"id": "n1"}',
        b'{"id": "n1", "type": 5}',
        b'{"id": "", "type": "message.created", "data": {"object": {"grant_id": "g", "id": "m"}}}',
        b'{"id": "n1", "type": "message.created"}',
        b'{"id": "n1", "type": "message.created", "data": {"object": {"grant_id": "g"}}}',
        b'{"id": "n1", "type": "message.created", "data": {"object": {"id": "m"}}}',
        b'{"id": "n1", "type": "grant.expired", "data": {"object": {"grant_id": ""}}}',
        json.dumps(envelope(id="n1") | {"data": []}).encode(),
        json.dumps(envelope(grant_id="g\x00")).encode(),
        b'{"id": "n1", "type": "message.created", "data": {"object": {"grant_id": "g", "id": ""}}}',
        json.dumps(envelope()).replace('"m1"', r'"m\u0000"').encode(),
        json.dumps(envelope()).replace("m1", "m" * 501).encode(),
        b"[" * 100_000,
        b'{"id": "\\ud800", "type": "message.created"}',
        gzip.compress(BODY)[:-3],
        b"\x1f\x8bnot compressed at all",
        BOMB,
    ],
)  # fmt: skip
def test_signed_nonsense_gets_400_and_a_counter(mailbox, heard, body):
    response = post(body=body)
    assert response.status_code == 400
    assert b"not a notification" in response.content
    assert counters() == {"malformed": 1}
    assert not WebhookNotification.objects.exists()


def test_a_body_may_be_larger_than_a_form_but_not_any_size(mailbox, heard):
    large = envelope() | {"padding": "x" * 3_000_000}
    assert post(large).status_code == 200
    body = json.dumps(envelope(id="n2") | {"padding": "x" * 5_000_000}).encode()
    assert post(body=body).status_code == 413
    assert counters() == {"accepted": 1, "too-large": 1}


def test_unpacking_has_a_limit():
    taken = []

    def decompress(content, limit):
        taken.append(limit)
        return b""

    unpacker = mock.Mock(decompress=decompress, eof=False)
    with mock.patch.object(zlib, "decompressobj", return_value=unpacker), pytest.raises(Malformed):
        read_notification(BOMB)
    assert taken == [10_000_000]


# --- what is taken -------------------------------------------------------------------------------


@pytest.mark.parametrize("word", ["created", "updated"])
@pytest.mark.parametrize(
    "variant",
    ["", ".truncated", ".transformed", ".cleaned", ".metadata", ".transformed.truncated"],
)
def test_every_variant_of_a_message_is_passed_on(
    mailbox, heard, word, variant, django_capture_on_commit_callbacks
):
    type = f"message.{word}{variant}"
    assert deliver(django_capture_on_commit_callbacks, envelope(type)).status_code == 200
    assert heard == [("message", "m1", mailbox.pk)]
    assert WebhookNotification.objects.get().type == type


@pytest.mark.parametrize("word", ["expired", "updated", "deleted"])
def test_what_befalls_a_grant_is_passed_on(
    mailbox, heard, word, django_capture_on_commit_callbacks
):
    content = envelope(f"grant.{word}")
    content["data"]["object"] = {"code": 25009, "grant_id": GRANT, "provider": "google"}
    assert deliver(django_capture_on_commit_callbacks, content).status_code == 200
    assert heard == [("grant", "", mailbox.pk)]


@pytest.mark.parametrize(
    ("trigger", "kind"),
    [
        ("event.created", "event"),
        ("event.updated", "event"),
        ("event.deleted", "event-gone"),
        ("event.updated.truncated", "event"),
        ("calendar.created", "calendar"),
        ("calendar.updated", "calendar"),
        ("calendar.deleted", "calendar"),
    ],
)
def test_what_befalls_events_and_calendars_is_passed_on(
    mailbox, heard, trigger, kind, django_capture_on_commit_callbacks
):
    content = envelope(trigger, id="n1")
    content["data"]["object"] = {"id": "e/1_20260302T093000Z", "grant_id": GRANT, "object": "event"}
    del content["time"]  # The sample of event.deleted has none (contract sheet §6).
    for _ in range(2):
        assert deliver(django_capture_on_commit_callbacks, content).status_code == 200
    assert heard == [(kind, "e/1_20260302T093000Z", mailbox.pk)]
    assert WebhookNotification.objects.get().type == trigger


@pytest.mark.parametrize("trigger", ["event.updated", "event.deleted", "calendar.updated"])
@pytest.mark.parametrize("object_id", [None, "", "e\x00", "e" * 501, 7])
def test_an_event_without_a_usable_id_is_no_notification(mailbox, heard, trigger, object_id):
    assert post(envelope(trigger) | {"data": {"object": {"grant_id": GRANT, "id": object_id}}})
    assert counters() == {"malformed": 1}
    assert heard == []


def test_what_befalls_an_event_wakes_no_look_at_the_mail(
    mailbox, django_capture_on_commit_callbacks
):
    with (
        mock.patch.object(receivers, "queue_hint") as hint,
        mock.patch.object(receivers, "queue_grant_check") as check,
    ):
        for trigger in ("event.created", "event.deleted", "calendar.updated"):
            deliver(django_capture_on_commit_callbacks, envelope(trigger, id=trigger))
    hint.assert_not_called()
    check.assert_not_called()


def test_a_deleted_message_is_acknowledged_and_the_crm_keeps_its_record(
    mailbox, heard, django_capture_on_commit_callbacks
):
    assert (
        deliver(django_capture_on_commit_callbacks, envelope("message.deleted")).status_code == 200
    )
    assert heard == []
    assert counters() == {"accepted": 1}


@pytest.mark.parametrize(
    "type",
    [
        "message.opened",
        "message.created.novel",
        "message",
        "grant.created",
        "grant.imap_sync_completed",
        "event",
        "event.reminded",
        "event.created.novel",
        "calendar",
        "folder.created",
        "calendar.message.created",
        "",
        "x" * 5000,
    ],
)
def test_other_triggers_are_counted_and_ignored(mailbox, heard, type):
    assert post(envelope(type) | {"data": "anything"}).status_code == 200
    assert counters() == {"ignored": 1}
    assert not WebhookNotification.objects.exists()


def test_an_unknown_grant_is_counted_and_forgotten(mailbox, heard):
    assert post(envelope(grant_id="somebody else's")).status_code == 200
    assert counters() == {"unknown-grant": 1}
    assert not WebhookNotification.objects.exists()


def test_a_duplicate_is_acknowledged_and_does_nothing(
    mailbox, heard, django_capture_on_commit_callbacks
):
    capture = django_capture_on_commit_callbacks
    for attempt in (1, 2, 3):
        content = envelope() | {"webhook_delivery_attempt": attempt}
        assert deliver(capture, content).status_code == 200
    assert len(heard) == 1
    assert counters() == {"accepted": 1, "duplicate": 2}
    assert deliver(capture, envelope(id="n2")).status_code == 200
    assert len(heard) == 2


@pytest.mark.parametrize("id", ["x" * 64, "x" * 10_000, "n\x00", "Übung", "a\nb"])
def test_an_id_of_any_form_is_known_again(mailbox, heard, id):
    for _ in range(2):
        assert post(envelope(id=id)).status_code == 200
    assert post(envelope(id=id + "x")).status_code == 200
    assert counters() == {"accepted": 2, "duplicate": 1}


def test_a_digest_cannot_be_sent_as_an_id(mailbox, heard):
    post(envelope(id="x" * 100))
    post(envelope(id=hashlib.sha256(b"x" * 100).hexdigest()))
    assert counters() == {"accepted": 2}


@pytest.mark.django_db(transaction=True)
def test_the_same_notification_several_times_at_once_is_taken_once(mailbox, heard):
    together, statuses = threading.Barrier(6), []

    def work():
        try:
            together.wait(10)
            statuses.append(post().status_code)
        finally:
            connection.close()

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert statuses == [200] * 6
    assert len(heard) == 1
    assert WebhookNotification.objects.count() == 1
    assert counters() == {"accepted": 1, "duplicate": 5}


@pytest.mark.django_db(transaction=True)
def test_nothing_is_passed_on_before_the_notification_is_kept(mailbox, heard):
    crash = mock.patch.object(WebhookNotification.objects, "create", side_effect=RuntimeError)
    with crash, pytest.raises(RuntimeError):
        post()
    assert heard == []
    # Nylas tries again, and then it is taken.
    assert post().status_code == 200
    assert len(heard) == 1


def test_one_notification_costs_few_queries_and_no_request(
    mailbox, heard, django_assert_max_num_queries, django_capture_on_commit_callbacks
):
    deliver(django_capture_on_commit_callbacks)
    with (
        django_assert_max_num_queries(6),
        mock.patch("accounts.gateway.nylas", side_effect=AssertionError("asked")),
    ):
        deliver(django_capture_on_commit_callbacks, envelope(id="n2"))


def test_a_grant_that_cannot_be_decrypted_does_not_matter_here(mailbox, heard, settings):
    settings.FIELD_ENCRYPTION_KEYS = ["MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="]
    assert post().status_code == 200


@pytest.mark.django_db(transaction=True)
def test_a_broker_that_is_away_delays_nobody(mailbox):
    """kombu's own patience is 2 s, then 4 s."""
    queue = tasks.read_message.apply_async

    def queue_nowhere(args, **more):
        return queue(args, connection=nowhere, **more)

    with (
        celery.connection_for_write(url="redis+socket:///nowhere/at/all.sock") as nowhere,
        mock.patch.object(tasks.read_message, "apply_async", queue_nowhere),
    ):
        assert post().status_code == 200
        started = time.monotonic()
        assert post(envelope(id="n2")).status_code == 200
        assert time.monotonic() - started < 1.5


def test_old_notifications_and_counters_are_forgotten(mailbox, heard):
    for days in (0, 6, 8):
        WebhookNotification.objects.create(
            notification_id=str(days), type="t", received_at=NOW - timedelta(days=days)
        )
    for day in (NOW.date(), date(2025, 1, 1)):
        WebhookCounter.objects.add("accepted", day=day)
    WebhookRegistration.objects.adopt("w1", "old", now=NOW - timedelta(days=9))
    WebhookRegistration.objects.adopt("w1", "new", now=NOW - timedelta(days=8))
    with mock.patch.object(timezone, "now", return_value=NOW):
        assert tasks.forget_notifications() == 1
    assert set(WebhookNotification.objects.values_list("notification_id", flat=True)) == {"0", "6"}
    assert counters() == {"accepted": 1}
    assert [row.secret for row in WebhookRegistration.objects.all()] == ["new"]
    assert forget_old(now=NOW) == 0


# --- grants --------------------------------------------------------------------------------------


class Grants:
    """What the provider says of the grant at this moment."""

    def __init__(self, answer):
        self.answer = answer
        self.meanwhile = lambda: None

    def grant(self, grant_id):
        assert grant_id == GRANT
        self.meanwhile()
        if isinstance(self.answer, Exception):
            raise self.answer
        return Grant(grant_id, "mia@northsound.example", "google", is_valid=self.answer)


@pytest.fixture
def wanted():
    found = []

    def listen(sender, mailbox, **more):
        found.append(mailbox.pk)

    with mock.patch.object(sync_wanted, "receivers", []):
        sync_wanted.sender_receivers_cache.clear()
        sync_wanted.connect(listen)
        yield found
    sync_wanted.sender_receivers_cache.clear()


def check(answer, capture, *, now=NOW, meanwhile=lambda: None):
    gateway = Grants(answer)
    gateway.meanwhile = meanwhile
    mailbox = Mailbox.objects.select_related("user").get()
    with capture(execute=True):
        check_grant(mailbox, gateway=gateway, now=now)


@pytest.mark.parametrize("answer", [False, ReconnectRequired("gone", code="grant-unknown")])
def test_a_grant_that_is_invalid_or_unknown_is_rejected_and_told_once(
    mailbox, wanted, answer, django_capture_on_commit_callbacks
):
    for minutes in (0, 1):
        check(answer, django_capture_on_commit_callbacks, now=NOW + timedelta(minutes=minutes))
    row = Mailbox.objects.get()
    assert row.rejected_at == NOW
    assert row.rejection
    assert len(mail.outbox) == 1
    assert mail.outbox[0].to == [mailbox.user.email]
    assert {state_of(sync) for sync in row.syncs.filter(kind="email")} == {"invalid-credentials"}
    assert wanted == []


def test_a_grant_that_is_valid_again_is_read_again_at_once(
    mailbox, wanted, django_capture_on_commit_callbacks
):
    Mailbox.objects.update(rejected_at=NOW, rejection="no")
    MailboxSync.objects.update(next_due_at=None, stopped_at=NOW)
    check(True, django_capture_on_commit_callbacks)
    row = Mailbox.objects.get()
    assert (row.rejected_at, row.rejection) == (None, "")
    assert MailboxSync.objects.due(NOW).filter(kind="email").exists()
    assert wanted == [mailbox.pk]


def test_events_out_of_order_end_in_what_the_provider_says_now(
    mailbox, wanted, heard, django_capture_on_commit_callbacks
):
    """“updated” overtakes “expired”, and “expired” comes once more, long after."""
    capture = django_capture_on_commit_callbacks
    for number, word in enumerate(("updated", "expired", "expired")):
        content = envelope(f"grant.{word}", id=str(number))
        assert deliver(capture, content).status_code == 200
        check(True, capture)
    assert [kind for kind, *_ in heard] == ["grant"] * 3
    assert Mailbox.objects.get().rejected_at is None
    assert mail.outbox == wanted == []


@pytest.mark.parametrize("error", [TransientError("away"), ApplicationRejected("key")])
@pytest.mark.parametrize("rejected_at", [None, NOW])
def test_where_the_provider_cannot_tell_nothing_changes(
    mailbox, wanted, error, rejected_at, django_capture_on_commit_callbacks
):
    Mailbox.objects.update(rejected_at=rejected_at)
    with pytest.raises(type(error)):
        check(error, django_capture_on_commit_callbacks)
    assert Mailbox.objects.get().rejected_at == rejected_at
    assert mail.outbox == []


@pytest.mark.parametrize(
    "change", [{"authorised_at": NOW}, {"grant_digest": "another"}, {"rejected_at": NOW}]
)
def test_a_mailbox_authorised_again_meanwhile_is_not_rejected_for_the_past(
    mailbox, wanted, change, django_capture_on_commit_callbacks
):
    def meanwhile():
        Mailbox.objects.update(**change)

    check(False, django_capture_on_commit_callbacks, meanwhile=meanwhile, now=NOW + timedelta(1))
    assert Mailbox.objects.get().rejected_at == change.get("rejected_at")
    assert mail.outbox == []


# --- the command ---------------------------------------------------------------------------------


class Hooks:
    """Nylas's webhooks in memory."""

    def __init__(self):
        self.listed: list[Webhook] = []
        self.calls: list[str] = []
        self.made = 0

    def _secret(self):
        self.made += 1
        return f"secret-{self.made}"

    def webhooks(self):
        return list(self.listed)

    def create_webhook(self, url):
        self.calls.append("create")
        webhook = Webhook(f"w{len(self.listed) + 1}", url, "active", is_complete=True)
        self.listed.append(webhook)
        return webhook, self._secret()

    def mend_webhook(self, webhook_id):
        self.calls.append("mend")
        [at] = [n for n, webhook in enumerate(self.listed) if webhook.id == webhook_id]
        self.listed[at] = Webhook(webhook_id, self.listed[at].url, "active", is_complete=True)
        return self.listed[at]

    def rotate_webhook_secret(self, webhook_id):
        self.calls.append(f"rotate {webhook_id}")
        return self._secret()


OURS = "https://crm.example/webhooks/nylas/"


@pytest.fixture
def hooks(db, settings):
    settings.PUBLIC_URL = "https://crm.example"
    settings.NYLAS_WEBHOOK_SECRET = ""
    hooks = Hooks()
    with mock.patch.object(command, "nylas", return_value=hooks):
        yield hooks


@pytest.fixture
def run(capsys):
    """`run(action)` gives (exit code, what was printed), and makes sure no secret was."""

    def run(action):
        code: object = 0
        try:
            call_command("webhook", action)
        except SystemExit as end:
            code = end.code
        printed = capsys.readouterr().out
        assert "secret-" not in printed
        return code, printed

    return run


def secrets():
    return list(WebhookRegistration.objects.current().values_list("nylas_id", "secret"))


def test_register_makes_a_webhook_once(hooks, run):
    assert "registered for https://crm.example/webhooks/nylas/" in run("register")[1]
    assert "registered already" in run("register")[1]
    assert hooks.calls == ["create"]
    assert secrets() == [("w1", "secret-1")]
    assert hooks.listed[0].url == OURS


def test_register_mends_what_is_there(hooks, run):
    run("register")
    hooks.listed = [Webhook("w1", OURS, "failed", is_complete=False)]
    assert "mended, now active" in run("register")[1]
    assert hooks.calls == ["create", "mend"]
    assert secrets() == [("w1", "secret-1")]


def test_register_takes_over_a_webhook_whose_secret_nobody_kept(hooks, run):
    hooks.listed = [
        Webhook("other", "https://elsewhere.example/", "active", is_complete=True),
        Webhook("w9", OURS, "active", is_complete=True),
    ]
    run("register")
    assert hooks.calls == ["rotate w9"]
    assert secrets() == [("w9", "secret-1")]


def test_register_trusts_a_secret_of_the_environment(hooks, run, settings):
    settings.NYLAS_WEBHOOK_SECRET = "from outside"
    hooks.listed = [Webhook("w9", OURS, "active", is_complete=True)]
    assert "NYLAS_WEBHOOK_SECRET" in run("register")[1]
    assert hooks.calls == []


def test_register_retires_the_secret_of_a_webhook_that_is_gone(hooks, run):
    run("register")
    hooks.listed = []
    run("register")
    assert secrets() == [("w1", "secret-2")]
    assert WebhookRegistration.objects.count() == 2


def test_rotate_stores_the_new_secret_and_retires_the_old(hooks, run):
    run("register")
    assert "another hour" in run("rotate")[1]
    assert secrets() == [("w1", "secret-2")]
    former = WebhookRegistration.objects.get(secret__isnull=False, retired_at__isnull=False)
    assert former.secret == "secret-1"
    for secret in ("secret-1", "secret-2"):
        assert post(body=BODY, signature=sign(BODY, secret)).status_code == 200


def test_rotate_needs_a_webhook(hooks, run):
    with pytest.raises(CommandError, match="webhook register"):
        run("rotate")


def test_status_of_a_healthy_webhook(hooks, run, mailbox, heard):
    run("register")
    assert post(body=BODY, signature=sign(BODY, "secret-1")).status_code == 200
    post(body=BODY, signature=sign(BODY, "secret-1"))
    code, printed = run("status")
    assert code == 0
    for words in ("w1: active", "message.created at", "1 accepted, 1 duplicate", "ok"):
        assert words in printed


def listed(status="active", is_complete=True):
    return Webhook("w1", OURS, status, is_complete=is_complete)


@pytest.mark.parametrize(
    ("webhooks_listed", "remedy"),
    [
        ([], "webhook register"),
        ([listed("failing")], "reachable"),
        ([listed("failed")], "webhook register"),
        ([listed("pause")], "webhook register"),
        ([listed(is_complete=False)], "webhook register"),
        ([listed(), Webhook("w2", OURS, "active", is_complete=True)], "Delete all but one"),
    ],
)
def test_status_names_the_remedy(hooks, run, webhooks_listed, remedy):
    run("register")
    hooks.listed = webhooks_listed
    code, printed = run("status")
    assert code == 1
    assert remedy in printed
    assert "nothing is lost" in printed


def test_status_tells_of_a_missing_and_of_a_wrong_secret(hooks, run, settings):
    hooks.listed = [listed()]
    code, printed = run("status")
    assert (code, "webhook rotate" in printed) == (1, True)
    settings.NYLAS_WEBHOOK_SECRET = "wrong"
    assert run("status")[0] == 0
    post(body=BODY, signature=sign(BODY, "right"))
    code, printed = run("status")
    assert (code, "webhook rotate" in printed) == (1, True)


def test_a_refusal_is_a_sentence(hooks):
    hooks.create_webhook = mock.Mock(side_effect=PermanentError("Not reachable from the internet."))
    with pytest.raises(CommandError, match="Not reachable"):
        call_command("webhook", "register")
    assert not WebhookRegistration.objects.exists()


# --- from end to end -----------------------------------------------------------------------------


class SandboxSwitches:
    def __init__(self, url):
        self.url = url
        self.session = requests.Session()
        self.session.trust_env = False

    def __call__(self, path, **body):
        answer = self.session.post(f"{self.url}/sandbox/{path}", json=body, timeout=10)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def deliveries(self):
        return self.session.get(f"{self.url}/sandbox/deliveries", timeout=10).json()["deliveries"]

    def requests(self):
        return self.session.get(f"{self.url}/sandbox/requests", timeout=10).json()["last"]


@contextmanager
def captured_queue():
    """What would wait for a worker: (task, arguments)."""
    queue = []

    def capture(task):
        return mock.patch.object(
            task, "apply_async", lambda args, **more: queue.append((task, args))
        )

    with capture(tasks.read_message), capture(tasks.check_grant), capture(tasks.sync_mailbox_email):
        yield queue


def run_all(queue):
    for task, arguments in list(queue):
        task(*arguments)


def read(mailbox, gateway):
    """One pass, as polling makes it."""
    sync = mailbox.syncs.select_related("mailbox__user").get(kind="email")
    return sync_mailbox(sync, gateway=gateway, settings=current())


@pytest.mark.django_db(transaction=True)
def test_from_the_sandbox_to_the_ledger_and_back(live_server, settings, tmp_path, capsys):
    """A real sandbox registers, signs and delivers to a real server; then the tasks are run."""
    cache.clear()
    settings.PUBLIC_URL, settings.NYLAS_WEBHOOK_SECRET = live_server.url, ""
    with sandbox_server(tmp_path, "--messages", "20") as url, captured_queue() as queue:
        settings.NYLAS_API_URI, settings.NYLAS_API_KEY = url, "sandbox-key"
        switch = SandboxSwitches(url)
        gateway = NylasGateway(api_uri=url, api_key="sandbox-key", client_id="c")
        grant = next(iter(gateway.grants()))
        mailbox = RunningMailboxFactory(
            address=grant.email, grant_id=grant.id, sync_from=timezone.now() - timedelta(minutes=1)
        )
        ContactFactory(addresses=["ana@lumen.example"], my_contact_of=[mailbox.user])
        assert read(mailbox, gateway).error is None

        call_command("webhook", "register")
        call_command("webhook", "rotate")
        delivered = [
            switch(
                "deliver",
                mailbox=grant.email,
                subject=f"From {sender}",
                body="The text",
                **{"from": {"email": sender}},
            )
            for sender in ("ana@lumen.example", "x@stranger.example")
        ]
        wait_until(lambda: len(queue) == 2, "both notifications are queued")
        run_all(queue)
        entries = dict(LedgerEntry.objects.order_by("pk").values_list("provider_id", "reason"))
        assert entries == {delivered[0]["id"]: "matched", delivered[1]["id"]: "unknown-address"}
        assert Email.objects.get().body_text == "The text"
        # Of the stranger's message only the headers were ever asked for.
        asked = [
            parse_qs(one["query"])["select"]
            for one in switch.requests()
            if one["path"].endswith(delivered[1]["id"])
        ]
        assert len(asked) == 1
        assert not {"body", "snippet", "attachments"}.intersection(asked[0][0].split(","))
        # Polling finds nothing left to do.
        before = list(LedgerEntry.objects.values())
        assert read(mailbox, gateway).error is None
        assert list(LedgerEntry.objects.values()) == before

        queue.clear()
        switch("expire", mailbox=grant.email)
        wait_until(lambda: queue, "the expiry is queued")
        run_all(queue)
        assert Mailbox.objects.get().rejected_at
        queue.clear()
        switch("grant", mailbox=grant.email)
        wait_until(lambda: queue, "the new authorisation is queued")
        run_all(queue)
        assert Mailbox.objects.get().rejected_at is None
        assert [task for task, _ in queue][-1] is tasks.sync_mailbox_email

        wait_until(lambda: len(switch.deliveries()) == 4, "the sandbox noted all deliveries")
        assert {one["status"] for one in switch.deliveries()} == {200}
        assert counters() == {"accepted": 4}
        call_command("webhook", "status")
        assert "4 accepted" in capsys.readouterr().out
