"""The estimate beside a first reading: honest, or silent."""

from datetime import UTC, datetime, timedelta

from email_sync.progress import FolderReading, estimate

NOW = datetime(2025, 11, 12, 12, tzinfo=UTC)
START = NOW - timedelta(days=30)


def folder(name="Inbox", seen=0, days=None, is_done=False):
    oldest = None if days is None else NOW - timedelta(days=days)
    return FolderReading(name=name, seen=seen, oldest_seen=oldest, is_done=is_done)


def test_it_reads_as_the_sentence_beside_the_bar():
    folders = [folder("Inbox", 824, is_done=True), folder("Sent", 416, days=18.3)]
    progress = estimate(folders, sync_from=START, now=NOW)
    assert progress.words == "1,240 of about 1,500 messages, Inbox done, Sent 61 %"
    assert progress.percent == 82


def test_the_share_of_a_folder_is_the_share_of_time_that_it_covered():
    progress = estimate([folder(seen=100, days=15)], sync_from=START, now=NOW)
    assert progress.folders[0].percent == 50
    assert progress.expected == 200


def test_a_folder_that_has_not_begun_leaves_the_whole_unknown():
    folders = [folder("Inbox", 100, days=15), folder("Sent")]
    progress = estimate(folders, sync_from=START, now=NOW)
    assert progress.expected is None
    assert progress.words == "100 messages, Inbox 50 %, Sent not begun"
    assert progress.percent == 25


def test_the_first_minutes_promise_nothing():
    progress = estimate([folder(seen=200, days=0.1)], sync_from=START, now=NOW)
    assert progress.expected is None


def test_it_never_says_that_all_is_done():
    folders = [folder("Inbox", 10, is_done=True), folder("Sent", 5, days=31)]
    progress = estimate(folders, sync_from=START, now=NOW)
    assert progress.percent == 99
    assert progress.folders[1].percent == 99


def test_it_never_expects_fewer_than_it_has_seen():
    progress = estimate([folder(seen=1249, is_done=True)], sync_from=START, now=NOW)
    assert progress.expected == 1249


def test_an_empty_folder_that_is_done_counts_as_done():
    folders = [folder("Inbox", 50, days=15), folder("Sent", 0, is_done=True)]
    progress = estimate(folders, sync_from=START, now=NOW)
    assert progress.words == "50 of about 100 messages, Inbox 50 %, Sent done"


def test_nothing_in_any_folder_is_no_division_by_zero():
    progress = estimate([folder(is_done=True)], sync_from=START, now=NOW)
    assert progress.words == "0 messages, Inbox done"
    assert progress.percent == 99


def test_before_the_first_page_no_number_is_shown():
    progress = estimate([folder("Inbox"), folder("Sent")], sync_from=START, now=NOW)
    assert progress.words == "just begun"


def test_the_labels_of_google_are_not_shouted():
    folders = [folder("INBOX", 10, days=15), folder("SENT", 0, is_done=True), folder("VIP", 1)]
    progress = estimate(folders, sync_from=START, now=NOW)
    assert progress.words == "11 messages, Inbox 50 %, Sent done, VIP not begun"


def test_one_message_is_one_message():
    assert estimate([folder(seen=1)], sync_from=START, now=NOW).words.startswith("1 message,")


def test_before_the_folders_are_known_it_says_so():
    progress = estimate([], sync_from=START, now=NOW)
    assert progress.words == "the folders are being listed"
    assert progress.percent == 0


def test_dates_that_cannot_be_right_do_no_harm():
    future = folder(seen=3, days=-2)
    assert estimate([future], sync_from=START, now=NOW).percent == 0
    assert estimate([folder(seen=3, days=2)], sync_from=None, now=NOW).percent == 0
    assert estimate([folder(seen=3, days=2)], sync_from=NOW, now=NOW).percent == 0
