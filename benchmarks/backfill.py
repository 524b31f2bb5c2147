"""The product itself: a first pass over a mailbox, as a worker makes it."""

import sys
from dataclasses import dataclass

from accounts.models import MailboxSync
from accounts.system_settings import Settings
from benchmarks import floor, naive, scenery, servers
from benchmarks.measuring import Rounds, interleaved, queries_counted
from benchmarks.scenery import Correspondence
from crm_sync.providers.nylas import NylasGateway
from email_sync.models import LedgerEntry
from email_sync.sync import sync_mailbox


def run(gateway: NylasGateway, correspondence: Correspondence, sync: MailboxSync) -> int:
    """One pass that reads everything; how many messages were listed. It must have worked."""
    report = sync_mailbox(sync, gateway=gateway, settings=Settings())
    expected = len(correspondence.matching)
    if report.outcome != "complete" or report.result.matched != expected:
        sys.exit(f"The pass did not go as it should: {report}; {expected} should have matched.")
    return report.result.seen


@dataclass(frozen=True)
class Sizes:
    """How much is measured: messages the naive way reads, and rounds."""

    naive_messages: int
    rounds: int


def compare(url: str, correspondence: Correspondence, sizes: Sizes, *, warm_up: bool) -> Rounds:
    """Product, floor and naive way in turn, each from the same server."""
    gateway = servers.gateway(url)

    def product() -> int:
        return run(gateway, correspondence, scenery.new_rep(correspondence))

    def plain() -> int:
        return floor.run(gateway, correspondence)

    def simple() -> int:
        rep = scenery.new_rep(correspondence)
        return naive.run(url, correspondence, rep, limit=sizes.naive_messages)

    ways = {"product": product, "floor": plain, "naive": simple}
    if warm_up:
        interleaved(ways, rounds=1)
        scenery.settle()
    return interleaved(ways, rounds=sizes.rounds)


@dataclass(frozen=True)
class Queries:
    """Of a whole pass, and of the page with about 40 matches: as many texts as make one batch."""

    whole: int
    pages: int
    of_a_page: int
    matches: int


def count_queries(url: str, correspondence: Correspondence) -> Queries:
    """Statements of a first pass; BEGIN and COMMIT are not counted."""
    sync = scenery.new_rep(correspondence)
    pages: list[tuple[int, int]] = []
    with queries_counted() as seen:
        # Everything up to and with each page; our own question is not part of it.
        before, known = 0, 0

        def note(*_: object) -> None:
            nonlocal before, known
            used = len(seen) - before
            matched = LedgerEntry.objects.matched().filter(mailbox=sync.mailbox).count()
            pages.append((used, matched - known))
            before, known = len(seen), matched

        sync_mailbox(sync, gateway=servers.gateway(url), settings=Settings(), report=note)
    # The first page has with it what a pass asks once.
    of_a_page, matches = min(pages[1:] or pages, key=lambda page: abs(page[1] - 40))
    return Queries(len(seen) - len(pages), len(pages), of_a_page, matches)
