"""`python -m benchmarks`: everything that docs/performance.md speaks of, as a table of ratios."""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager

import django

PARTS = ("backfill", "size", "idle", "memory", "webhook", "intake", "calendar")


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    add = parser.add_argument
    add("--quick", action="store_true", help="small sizes, under a minute")
    add("--only", action="append", choices=PARTS, help="this part alone; repeatable")
    add("--messages", type=int, help="messages listed in each run")
    add("--rounds", type=int, help="runs of each way")
    add("--contacts", type=int, help="contacts in the database")
    add("--large", type=int, help="contacts and ledger entries for the same at a large size")
    add("--mailboxes", type=int, help="mailboxes that stand in the tables for idle passes")
    add("--sample", type=int, help="mailboxes among them that are read")
    add("--memory-messages", type=int, help="messages of the long backfill")
    add("--deliveries", type=int, help="messages whose way to the page is timed")
    add("--calendars", type=int, help="calendars that stand in the tables for idle passes")
    add("--calendar-sample", type=int, help="calendars among them that are read")
    add("--events", type=int, help="events of the calendar that is imported")
    add("--intake-messages", type=int, help="messages in the monitored Gmail mailbox")
    options = parser.parse_args(arguments)
    full = {
        "messages": 3_000, "rounds": 3, "contacts": 50_000, "large": 1_000_000,
        "mailboxes": 10_000, "sample": 200, "memory_messages": 40_000,
        "deliveries": 60, "intake_messages": 1_000,
        "calendars": 1_000, "calendar_sample": 100, "events": 10_000,
    }  # fmt: skip
    quick = {
        "messages": 600, "rounds": 2, "contacts": 2_000, "large": 20_000,
        "mailboxes": 100, "sample": 20, "memory_messages": 3_000,
        "deliveries": 10, "intake_messages": 120,
        "calendars": 40, "calendar_sample": 10, "events": 600,
    }  # fmt: skip
    for name, value in (quick if options.quick else full).items():
        if getattr(options, name) is None:
            setattr(options, name, value)
    options.parts = options.only or list(PARTS)
    return options


def main() -> None:
    options = parse()
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    if not os.environ.get("DATABASE_URL"):
        # Production's database, thrown away afterwards: this very command again, with servers.
        services = [sys.executable, "scripts/with_services.py"]
        again = [sys.executable, "-m", "benchmarks", *sys.argv[1:]]
        os.execv(sys.executable, [*services, *again])  # noqa: S606
    os.environ["DJANGO_SETTINGS_MODULE"] = "benchmarks.settings"
    with tempfile.TemporaryDirectory(prefix="crm-sync-bench-") as place:
        os.environ["VAR_DIR"] = place
        django.setup()
        from benchmarks import report

        with throw_away_database() as name:
            report.run(options, database=name)


@contextmanager
def throw_away_database() -> Iterator[str]:
    """A database of our own beside the one that DATABASE_URL names, which is left alone."""
    from django.db import connection

    usual = str(connection.settings_dict["NAME"])
    name = connection.creation.create_test_db(verbosity=0, autoclobber=True)
    try:
        yield name
    finally:
        connection.creation.destroy_test_db(usual, verbosity=0)


if __name__ == "__main__":
    started = time.monotonic()
    main()
    print(f"\n{time.monotonic() - started:.0f} s in all; kept in var/bench/results.jsonl")
