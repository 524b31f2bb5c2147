"""A pass over a mailbox, against a mailbox in memory and the real database."""

from datetime import timedelta

import pytest
from django.utils import timezone
from msgspec.structs import replace

from accounts import leases
from accounts.connecting import disconnect, want_sync
from accounts.models import Mailbox, MailboxSync, MyContact, SyncRun, User
from accounts.outcomes import state_of
from accounts.system_settings import Settings
from crm_sync.providers.errors import (
    ApplicationRejected,
    ItemGone,
    PermanentError,
    ReconnectRequired,
    TransientError,
    UnexpectedAnswer,
)
from crm_sync.providers.types import Address, Folder, UnreadableMessage
from email_sync.models import (
    DailyCount,
    Email,
    EmailContact,
    EmailParticipant,
    Exclusion,
    FolderCursor,
    LedgerEntry,
    Source,
)
from tests.email_sync.conftest import connect
from tests.email_sync.fake_gateway import NOW, headers

MIA = "mia@northsound.example"
TEXT = "Text of"


def mail(id, **more):
    return headers(id, **more)


def strangers(count, **more):
    return [
        mail(f"x{n}", from_="x@other.example", received_at=NOW - timedelta(hours=n + 1), **more)
        for n in range(count)
    ]


def test_matched_mail_is_stored_with_its_text_and_the_rest_without(cast):
    cast.gateway.add(
        mail("a"),
        mail("b", from_="lee@harbor.example"),
        mail("c", from_="x@other.example"),
        mail("d", from_=MIA, to=("kim@harbor.example",), folder="SENT"),
    )
    report = cast.sync()
    assert report.outcome == "complete"
    assert (report.result.seen, report.result.matched, report.result.unmatched) == (4, 2, 2)
    assert cast.ledger() == {
        "a": "matched",
        "b": "not-my-contact",
        "c": "unknown-address",
        "d": "matched",
    }
    stored = {e.message_id: (e.direction, e.body_text) for e in Email.objects.all()}
    assert stored == {
        "<a@mail.example>": ("received", "Text of a"),
        "<d@mail.example>": ("sent", "Text of d"),
    }
    assert sorted(cast.gateway.fetched) == ["a", "d"]
    email = Email.objects.get(message_id="<a@mail.example>")
    assert email.attachments == [{"name": "offer.pdf", "type": "application/pdf", "size": 1234}]
    assert [link.contact for link in email.links.all()] == [cast.ana]
    assert sorted(email.participants.values_list("role", "address")) == [
        ("from", "ana@lumen.example"),
        ("to", MIA),
    ]


def test_a_second_pass_changes_nothing_and_asks_for_no_text(cast):
    cast.gateway.add(mail("a"), *strangers(5))
    cast.sync()
    before = list(LedgerEntry.objects.values())
    cast.gateway.fetched.clear()
    cast.now += timedelta(minutes=5)
    report = cast.sync()
    assert (report.outcome, report.result.matched + report.result.unmatched) == ("complete", 0)
    assert list(LedgerEntry.objects.values()) == before
    assert cast.gateway.fetched == []
    assert DailyCount.objects.get(outcome="unmatched").count == 5


def test_only_what_is_new_is_listed_but_late_mail_is_still_found(cast):
    cast.gateway.page_size = 3
    cast.gateway.add(*strangers(30))
    cast.sync()
    cast.gateway.asked.clear()
    cast.now += timedelta(minutes=5)
    cast.gateway.add(mail("late", received_at=NOW - timedelta(hours=20)))
    cast.gateway.add(mail("new", received_at=cast.now))
    cast.sync()
    assert cast.ledger()["new"] == "matched"
    assert cast.ledger()["late"] == "matched"
    # 24 hours before the newest: nine pages of three and the Sent folder's, not all eleven and one.
    assert cast.gateway.asked["page"] == 10


def test_a_message_in_two_folders_is_one(cast):
    cast.gateway.add(
        replace(mail("a"), folder_ids=("INBOX", "SENT")),
        mail("b", message_id="<same@x>", from_=MIA, to=(MIA, "ana@lumen.example")),
        mail("c", message_id="<same@x>", from_=MIA, to=(MIA, "ana@lumen.example"), folder="SENT"),
    )
    cast.sync()
    assert LedgerEntry.objects.count() == Email.objects.count() == 2


def test_a_moved_message_with_a_new_id_is_the_same_message(cast):
    cast.mailbox.folder_names = "Inbox;Harbor"
    cast.mailbox.save()
    cast.gateway.add(mail("a", message_id="<1@x>"))
    cast.sync()
    cast.gateway.messages = {"z": mail("z", message_id="<1@x>", folder="F1")}
    cast.sync()
    assert LedgerEntry.objects.count() == Email.objects.count() == 1


def test_a_reused_message_id_with_another_subject_is_another_message(cast):
    cast.gateway.add(
        mail("a", message_id="<1@x>", subject="One"), mail("b", message_id="<1@x>", subject="Two")
    )
    cast.sync()
    assert sorted(Email.objects.values_list("subject", flat=True)) == ["One", "Two"]


def test_nothing_is_merged_across_users(cast):
    sam = User.objects.create(username="sam", email="sam@northsound.example")
    connect(sam, "sam@northsound.example")
    MyContact.objects.flag(sam, [cast.ana])
    cast.gateway.add(mail("a", to=(MIA, "sam@northsound.example")))
    cast.sync()
    cast.user, mia = sam, cast.user
    cast.sync()
    assert set(Email.objects.values_list("user", flat=True)) == {mia.pk, sam.pk}


def test_drafts_trash_and_junk_leave_nothing_and_a_sent_draft_is_found(cast):
    cast.gateway.add(
        mail("a", is_draft=True),
        replace(mail("b"), folder_ids=("INBOX", "TRASH")),
        replace(mail("c"), folder_ids=("INBOX", "JUNK")),
    )
    cast.sync()
    assert not LedgerEntry.objects.exists()
    cast.gateway.add(mail("a", is_draft=False))
    cast.sync()
    assert cast.ledger() == {"a": "matched"}


def test_mail_before_the_start_is_left_out_even_if_the_provider_lists_it(cast):
    cast.gateway.add(mail("old", received_at=NOW - timedelta(days=31)))
    cast.sync()
    assert cast.ledger() == {}
    cast.gateway.add(mail("odd", received_at=None))
    cast.gateway.listed_as = lambda m: replace(m, received_at=NOW - timedelta(days=40))
    cast.sync()
    assert cast.ledger() == {"odd": "before-sync-start"}
    assert not Email.objects.exists()


def test_a_date_in_the_future_does_not_hide_what_arrives_until_then(cast):
    cast.gateway.add(mail("future", received_at=NOW + timedelta(days=27_000)))
    cast.sync()
    cast.now += timedelta(days=3)
    cast.gateway.add(mail("a", received_at=NOW + timedelta(days=1)))
    cast.sync()
    assert cast.ledger() == {"future": "matched", "a": "matched"}


def test_a_message_without_date_and_one_from_1970_cost_nobody_else(cast):
    cast.gateway.add(mail("undated", received_at=None), mail("a"))
    cast.sync()
    assert cast.ledger() == {"undated": "matched", "a": "matched"}


def test_a_contact_flagged_later_brings_in_mail_from_then_on(cast):
    cast.gateway.add(mail("a", from_="lee@harbor.example"))
    cast.sync()
    MyContact.objects.flag(cast.user, [cast.lee])
    cast.gateway.add(mail("b", from_="lee@harbor.example"))
    cast.sync()
    assert cast.ledger() == {"a": "not-my-contact", "b": "matched"}


def test_look_back_days_match_older_mail_again_when_a_contact_is_flagged(cast):
    cast.gateway.add(
        mail("near", from_="lee@harbor.example", received_at=NOW - timedelta(days=3)),
        mail("far", from_="lee@harbor.example", received_at=NOW - timedelta(days=20)),
        mail("gone", from_="lee@harbor.example", received_at=NOW - timedelta(days=2)),
        mail("other", from_="x@other.example", received_at=NOW - timedelta(days=3)),
        mail("never", from_="lee@harbor.example", cc=("n@never.example",)),
    )
    Exclusion.objects.create(kind="domain", value="never.example")
    cast.gateway.page_size = 50
    cast.sync()
    settings = Settings(look_back_days=7)
    del cast.gateway.messages["gone"]
    MyContact.objects.flag(cast.user, [cast.lee])
    cast.gateway.fetched.clear()
    cast.sync(settings)
    assert cast.ledger() == {
        "near": "matched",
        "far": "not-my-contact",
        "gone": "not-my-contact",
        "other": "unknown-address",
        "never": "excluded-domain",
    }
    assert sorted(cast.gateway.fetched) == ["gone", "near"]
    assert Email.objects.get().links.get().contact == cast.lee
    assert {c.outcome: c.count for c in DailyCount.objects.all()} == {
        "matched": 1, "unmatched": 3, "excluded": 1,
    }  # fmt: skip
    cast.gateway.fetched.clear()
    cast.sync(settings)
    assert cast.gateway.fetched == []


def test_of_excluded_mail_not_even_the_subject_is_kept(cast):
    Exclusion.objects.create(kind="address", value=" Ana@Lumen.example ", user=cast.user)
    cast.gateway.add(mail("a", subject="SECRET"))
    cast.sync()
    entry = LedgerEntry.objects.get()
    assert (entry.outcome, entry.reason, entry.subject) == ("excluded", "excluded-address", "")
    assert "SECRET" not in str(entry.__dict__)
    assert cast.gateway.fetched == []


def test_another_users_exclusion_does_not_concern_mine(cast):
    sam = User.objects.create(username="sam")
    Exclusion.objects.create(kind="domain", value="lumen.example", user=sam)
    cast.gateway.add(mail("a"))
    cast.sync()
    assert cast.ledger() == {"a": "matched"}


def test_the_ledger_is_searched_by_the_others_addresses_and_domains(cast):
    cast.gateway.add(mail("a"), mail("b", from_="x@other.example"))
    cast.sync()
    of = LedgerEntry.objects
    assert of.of_address("ana@lumen.example").get().provider_id == "a"
    assert of.of_domain("other.example").get().provider_id == "b"
    assert not of.of_address(MIA).exists()


def test_an_email_deleted_in_the_crm_does_not_come_back(cast):
    cast.gateway.add(mail("a"))
    cast.sync()
    Email.objects.update(hidden_at=NOW)
    cast.gateway.messages = {"b": mail("b", message_id="<a@mail.example>", folder="SENT")}
    cast.sync()
    email = Email.objects.get()
    assert email.hidden_at is not None


def test_a_further_source_of_a_deleted_email_says_so_and_does_not_bring_it_back(cast):
    cast.gateway.add(mail("a"))
    cast.sync()
    Email.objects.update(hidden_at=NOW)
    LedgerEntry.objects.update(source=Source.BCC)
    cast.gateway.fetched.clear()
    cast.sync()
    entry = LedgerEntry.objects.get(source=Source.NYLAS)
    assert (entry.outcome, entry.reason) == ("excluded", "deleted-in-crm")
    assert Email.objects.get().hidden_at is not None
    assert cast.gateway.fetched == []


def test_a_second_source_of_an_email_is_matched_and_asks_for_no_text(cast):
    cast.gateway.add(mail("a"))
    cast.sync()
    LedgerEntry.objects.update(source=Source.BCC)
    cast.gateway.fetched.clear()
    cast.sync()
    entry = LedgerEntry.objects.get(source=Source.NYLAS)
    assert (entry.outcome, entry.reason) == ("matched", "matched")
    assert entry.email == Email.objects.get()
    assert cast.gateway.fetched == []


def test_a_new_rep_of_a_contact_does_not_see_the_former_reps_emails(cast):
    cast.gateway.add(mail("a"))
    cast.sync()
    sam = User.objects.create(username="sam")
    cast.user.my_contacts.all().delete()
    MyContact.objects.flag(sam, [cast.ana])
    assert not Email.objects.readable_by(sam).exists()
    assert Email.objects.readable_by(cast.user).exists()


def test_replies_share_a_thread_with_or_without_references(cast):
    cast.gateway.add(
        mail("a", thread_id="t", received_at=NOW - timedelta(days=2)),
        mail("b", thread_id="t", subject="Re: Offer", received_at=NOW - timedelta(days=1)),
        mail("c", subject="Re: Offer", references=("<a@mail.example>",)),
        mail("d", subject="Other"),
    )
    cast.gateway.page_size = 100
    cast.sync()
    threads = dict(Email.objects.values_list("message_id", "thread_key"))
    assert threads["<a@mail.example>"] == threads["<b@mail.example>"]
    assert len(set(threads.values())) in {2, 3}
    assert threads["<d@mail.example>"] != threads["<a@mail.example>"]


# --- folders -----------------------------------------------------------------------------------
def test_a_missing_folder_makes_the_mailbox_partial_by_name_and_the_others_sync(cast):
    cast.mailbox.folder_names = "Gone;Harbor"
    cast.mailbox.save()
    cast.gateway.add(mail("a", folder="F1"), mail("b"))
    report = cast.sync()
    assert report.outcome == "partial"
    assert cast.ledger() == {"a": "matched"}
    assert cast.row.problems == [
        {"name": "Gone", "cause": "The mailbox has no folder named “Gone”."}
    ]
    assert state_of(cast.row) == "partial"
    cast.gateway.folder_list.append(Folder("G", "Gone", ""))
    assert cast.sync().outcome == "complete"
    assert state_of(cast.row) == "running"


def test_a_folder_no_longer_chosen_and_chosen_again_is_read_from_the_start(cast):
    cast.gateway.add(mail("a"))
    cast.sync()
    cast.mailbox.folder_names = "Harbor"
    cast.mailbox.save()
    cast.sync()
    cast.gateway.add(mail("b", received_at=NOW - timedelta(days=20)))
    cast.mailbox.folder_names = ""
    cast.mailbox.save()
    cast.sync()
    assert cast.ledger() == {"a": "matched", "b": "matched"}


# --- failures ----------------------------------------------------------------------------------
def failing(kind, subject, error, *, times=10**6):
    left = [times]

    def before(asked_kind, asked_subject):
        if asked_kind == kind and subject in {asked_subject, None} and left[0] > 0:
            left[0] -= 1
            raise error

    return before


def test_a_failed_page_never_passes_for_an_empty_one(cast):
    cast.gateway.add(*strangers(6))
    cast.gateway.before = failing("page", "INBOX", TransientError("Nylas is busy.", status=503))
    report = cast.sync()
    assert report.outcome == "failed"
    assert not FolderCursor.objects.get(folder_id="INBOX").read_up_to
    assert cast.row.last_success_at is None
    assert cast.row.backfilled_at is None
    cast.gateway.before = lambda *asked: None
    cast.sync()
    assert len(cast.ledger()) == 6


def test_one_failing_folder_does_not_keep_the_other_from_being_read(cast):
    cast.gateway.add(mail("a"), mail("b", folder="SENT"))
    cast.gateway.before = failing("page", "INBOX", TransientError("Nylas is busy.", status=503))
    cast.sync()
    assert cast.ledger() == {"b": "matched"}
    assert state_of(cast.row) == "partial"
    assert cast.row.problems[0]["name"] == "Inbox"


def test_a_cut_off_listing_goes_on_at_its_page_and_then_looks_for_news(cast):
    cast.gateway.add(*strangers(6))
    pages = [0]

    def before(kind, subject):
        if (kind, subject) == ("page", "INBOX"):
            pages[0] += 1
            if pages[0] == 3:
                raise TransientError("cut off")

    cast.gateway.before = before
    cast.sync()
    assert len(cast.ledger()) == 4
    cast.gateway.add(mail("new", received_at=cast.now))
    cast.gateway.before = lambda *asked: None
    cast.sync()
    assert len(cast.ledger()) == 7


def test_a_refused_page_begins_the_listing_anew(cast):
    cast.gateway.add(*strangers(6))
    cast.sync()
    FolderCursor.objects.filter(folder_id="INBOX").update(page_token="gone", read_up_to=None)
    assert cast.sync().outcome == "complete"
    assert len(cast.ledger()) == 6


def test_a_listing_that_goes_round_in_a_circle_ends_and_keeps_what_it_saw(cast):
    cast.gateway.add(*strangers(6))
    real = cast.gateway.message_page
    cast.gateway.message_page = lambda grant, *, page_token=None, **more: replace(
        real(grant, page_token=page_token, **more), next_page="x3"
    )
    report = cast.sync()
    assert report.error.code == "repeated-cursor"
    assert set(cast.ledger()) == {"x0", "x1", "x3", "x4"}
    assert state_of(cast.row) == "partial"
    cast.gateway.message_page = real
    assert cast.sync().outcome == "complete"
    assert len(cast.ledger()) == 6


def test_a_text_that_is_gone_fails_for_good_and_costs_nobody_else(cast):
    cast.gateway.add(mail("a"), mail("b"))
    cast.gateway.before = failing("message", "a", ItemGone("gone", status=404))
    cast.sync()
    assert cast.ledger() == {"a": "processing-error", "b": "matched"}
    entry = LedgerEntry.objects.get(provider_id="a")
    assert entry.outcome == "failed"
    assert entry.trace["cause"] == "It is no longer in the mailbox."
    cast.gateway.fetched.clear()
    cast.sync()
    assert cast.gateway.fetched == []


def test_a_message_moved_between_list_and_text_is_found_in_its_new_place(cast):
    cast.gateway.add(mail("a", message_id="<1@x>"))
    cast.gateway.before = failing("message", "a", ItemGone("gone", status=404))
    cast.sync()
    cast.gateway.messages = {"z": mail("z", message_id="<1@x>", folder="SENT")}
    cast.sync()
    assert cast.ledger() == {"z": "matched"}
    assert Email.objects.count() == 1
    assert sum(DailyCount.objects.values_list("count", flat=True)) == 1


def test_a_refused_text_is_tried_three_times_in_all(cast):
    cast.gateway.add(mail("a"))
    cast.gateway.before = failing("message", "a", PermanentError("Nylas refuses.", status=400))
    for _ in range(5):
        cast.sync()
    assert cast.gateway.fetched == ["a"] * 3
    assert cast.ledger() == {"a": "processing-error"}


def test_a_text_refused_once_is_stored_at_the_next_pass(cast):
    cast.gateway.add(mail("a"))
    cast.gateway.before = failing("message", "a", UnexpectedAnswer("odd"), times=1)
    cast.sync()
    assert not Email.objects.exists()
    cast.sync()
    assert cast.ledger() == {"a": "matched"}
    assert Email.objects.get().body_text == "Text of a"
    counts = {c.outcome: c.count for c in DailyCount.objects.all()}
    assert counts == {"failed": 0, "matched": 1}


def test_a_busy_provider_keeps_what_was_fetched_and_the_rest_comes_later(cast):
    cast.gateway.page_size = 100
    cast.gateway.add(*[mail(f"m{n}", received_at=NOW - timedelta(hours=n)) for n in range(9)])
    cast.gateway.before = failing("message", "m4", TransientError("slow down", status=429))
    assert cast.sync().outcome == "failed"
    assert "m4" not in cast.ledger()
    assert len(cast.ledger()) == 8
    cast.gateway.before = lambda *asked: None
    cast.gateway.fetched.clear()
    cast.sync()
    assert cast.gateway.fetched == ["m4"]
    assert len(cast.ledger()) == Email.objects.count() == 9


def test_an_unreadable_item_costs_only_its_own_entry(cast):
    cast.gateway.add(mail("a"))
    cast.gateway.unreadable = {"INBOX": [UnreadableMessage("odd", "The date is not a number.")]}
    assert cast.sync().outcome == "complete"
    assert cast.ledger() == {"a": "matched", "odd": "processing-error"}
    assert cast.gateway.fetched == ["a"]


def test_a_rejected_grant_stops_the_mailbox_at_once_and_tells_people_once(cast, mailoutbox):
    User.objects.create(username="ada", role="admin", email="ada@northsound.example")
    cast.gateway.before = failing("folders", "", ReconnectRequired("No longer accepted."))
    cast.sync()
    cast.sync()
    assert state_of(cast.row) == "invalid-credentials"
    assert not MailboxSync.objects.due(cast.now + timedelta(days=1)).filter(kind="email").exists()
    assert len(mailoutbox) == 1
    assert mailoutbox[0].recipients() == [MIA, "ada@northsound.example"]
    connect(cast.user, MIA)
    cast.gateway.before = lambda *asked: None
    assert cast.sync().outcome == "complete"
    assert state_of(cast.row) == "running"


def test_the_same_failure_often_enough_stops_the_mailbox_until_somebody_restarts_it(cast):
    cast.gateway.before = failing("folders", "", TransientError("Nylas is away."))
    settings = Settings(stop_after_failures=3)
    for _ in range(3):
        cast.sync(settings)
    assert state_of(cast.row) == "stopped"
    assert not MailboxSync.objects.due(cast.now + timedelta(days=1)).filter(kind="email").exists()
    want_sync(cast.mailbox, now=cast.now)
    assert MailboxSync.objects.due(cast.now).filter(kind="email").exists()


def test_a_refused_api_key_stops_no_mailbox_and_asks_no_rep_to_authorise_again(cast, mailoutbox):
    cast.gateway.before = failing("folders", "", ApplicationRejected("Nylas refuses our key."))
    for _ in range(3):
        cast.sync(Settings(stop_after_failures=2))
    assert state_of(cast.row) == "exception"
    assert MailboxSync.objects.due(cast.now + timedelta(hours=2)).filter(kind="email").exists()
    assert not mailoutbox


def test_retry_after_is_honoured(cast):
    cast.gateway.before = failing(
        "folders", "", TransientError("slow down", status=429, retry_after=1800)
    )
    cast.sync()
    assert cast.row.next_due_at >= cast.now + timedelta(seconds=1800)


def test_a_bug_of_ours_is_a_sync_error_and_its_words_stay_out_of_the_row(cast, caplog):
    def before(kind, subject):
        raise RuntimeError("secret text of a mail")

    cast.gateway.before = before
    report = cast.sync()
    assert isinstance(report.error, RuntimeError)
    assert state_of(cast.row) == "sync-error"
    assert "secret" not in cast.row.failure_text


# --- leases ------------------------------------------------------------------------------------
def test_a_second_reader_is_kept_away_while_the_first_lives(cast):
    holder = leases.claim(cast.row)
    assert holder
    assert cast.sync().outcome is None
    MailboxSync.objects.filter(lease_holder=holder).interrupt()
    assert cast.sync().outcome == "complete"


def test_a_reader_paused_past_its_lease_stores_nothing_beside_its_successor(cast):
    cast.gateway.add(*strangers(6))

    def before(kind, subject):
        if kind == "page" and cast.gateway.asked["page"] == 2:
            MailboxSync.objects.update(lease_holder="another:1:1:x")

    cast.gateway.before = before
    report = cast.sync()
    assert report.outcome == "abandoned"
    assert len(cast.ledger()) == 2
    assert cast.row.lease_holder == "another:1:1:x"
    assert SyncRun.objects.get().outcome == "abandoned"


def test_a_dead_holder_on_this_host_is_replaced_at_once(cast):
    holder = leases.claim(cast.row)
    host, _, rest = holder.split(":", 2)
    MailboxSync.objects.update(lease_holder=f"{host}:999999999:{rest}")
    assert cast.sync().outcome == "complete"
    assert not leases.is_dead_here(holder)
    assert not leases.is_dead_here("elsewhere:1:1:x")


def test_a_wish_for_a_pass_made_during_one_is_kept(cast):
    later = NOW + timedelta(seconds=30)

    def before(kind, subject):
        if kind == "folders":
            want_sync(cast.mailbox, now=later)

    cast.gateway.before = before
    cast.sync()
    assert cast.row.next_due_at == later


def change(row, **values):
    for name, value in values.items():
        setattr(row, name, value)
    row.save()


@pytest.mark.parametrize(
    "leave",
    [
        lambda: change(User.objects.get(), is_active=False),
        lambda: disconnect(Mailbox.objects.get(), gateway=None),
        lambda: change(Mailbox.objects.get(), email_enabled=False),
    ],
)
def test_who_leaves_or_switches_off_stops_syncing_at_once_also_in_mid_pass(cast, leave):
    cast.gateway.add(*strangers(6))

    def before(kind, subject):
        if kind == "page" and cast.gateway.asked["page"] == 2:
            leave()

    cast.gateway.before = before
    assert cast.sync().outcome == "abandoned"
    assert len(cast.ledger()) == 2
    assert not MailboxSync.objects.due(cast.now + timedelta(days=1)).filter(kind="email").exists()


# --- runs --------------------------------------------------------------------------------------
def test_idle_passes_share_one_row(cast):
    cast.gateway.add(mail("a"))
    for _ in range(4):
        cast.sync()
        cast.now += timedelta(minutes=5)
    runs = list(SyncRun.objects.order_by("started_at").values_list("matched", "passes"))
    assert runs == [(1, 1), (0, 3)]


def test_an_idle_pass_costs_a_fixed_number_of_queries(cast, django_assert_num_queries):
    cast.gateway.page_size = 200
    cast.gateway.add(*strangers(150))
    cast.sync()
    cast.sync()
    with django_assert_num_queries(18):
        cast.sync()


def test_a_page_costs_the_same_queries_whatever_is_on_it(cast):
    def queries(count):
        from django.db import connection
        from django.test.utils import CaptureQueriesContext

        cast.gateway.messages = {
            f"{count}-{n}": mail(f"{count}-{n}", received_at=NOW - timedelta(minutes=n))
            for n in range(count)
        }
        cast.gateway.page_size = 200
        with CaptureQueriesContext(connection) as captured:
            cast.sync()
        return len(captured)

    queries(1)
    assert queries(3) == queries(30)


def test_progress_is_kept_while_the_first_backfill_runs(cast):
    cast.gateway.add(*strangers(6))
    pages = [0]

    def before(kind, subject):
        pages[0] += kind == "page"
        if pages[0] == 3:
            raise TransientError("cut off")

    cast.gateway.before = before
    cast.sync()
    cursor = FolderCursor.objects.get(folder_id="INBOX")
    assert (cursor.seen, cursor.backfilled_at) == (4, None)
    assert cursor.oldest_seen == NOW - timedelta(hours=4)
    assert state_of(cast.row) == "partial"


# --- odd messages ------------------------------------------------------------------------------
def test_a_list_without_headers_gets_the_message_id_with_the_text(cast):
    cast.gateway.add(mail("a", message_id="<1@x>"), mail("b", from_="x@other.example"))
    cast.gateway.listed_as = lambda m: replace(m, has_headers=False, message_id="")
    cast.sync()
    assert Email.objects.get().message_id == "<1@x>"
    assert cast.ledger() == {"a": "matched", "b": "unknown-address"}
    cast.gateway.fetched.clear()
    cast.sync()
    assert cast.gateway.fetched == []
    assert LedgerEntry.objects.count() == 2


def test_thousands_of_recipients_and_a_huge_subject_are_one_message(cast):
    people = tuple(f"p{n}@other.example" for n in range(5_000))
    cast.gateway.add(mail("a", to=people, cc=("ana@lumen.example",), subject="x" * 100_000))
    cast.sync()
    assert EmailParticipant.objects.filter(role="to").count() == 5_000
    assert len(LedgerEntry.objects.get().to) == 5_000


def test_an_address_longer_than_any_is_cut_and_harms_nobody(cast):
    cast.gateway.add(mail("a", from_="y" * 4_000 + "@other.example", cc=("ana@lumen.example",)))
    cast.sync()
    assert cast.ledger() == {"a": "matched"}


def test_two_people_of_one_address_in_a_header_are_one_participant(cast):
    cast.gateway.add(replace(mail("a"), to=(Address(MIA, "Mia"), Address(MIA.upper(), "M."))))
    cast.sync()
    assert EmailParticipant.objects.filter(role="to").count() == 1
    assert EmailContact.objects.count() == 1


@pytest.mark.parametrize("field", ["subject", "from_address", "trace", "to", "cc"])
def test_no_text_of_unmatched_mail_is_anywhere(cast, field):
    cast.gateway.add(mail("a", from_="x@other.example"))
    cast.gateway.bodies["a"] = "SECRET"
    cast.sync()
    assert "SECRET" not in str(LedgerEntry.objects.values_list(field, flat=True)[0])
    assert cast.gateway.fetched == []


def test_time_is_taken_before_the_first_request(cast):
    assert timezone.is_aware(cast.now)
    cast.sync()
    assert cast.row.last_success_at == cast.now
