"""Measures one part after the other and prints what came of it."""

import argparse
import os
import statistics
import time

from django.db import connection

from benchmarks import backfill, calendar, floor, idle, intake, memory, scenery, servers, webhook
from benchmarks.backfill import Sizes
from benchmarks.measuring import Rounds, cpu_rates, keep, median, rates, ratio

HISTORY_DAYS = 45
#: Of a mailbox's messages so many lie in Inbox and Sent; the others are never listed.
LISTED_SHARE = 0.75
MATCHING = 0.20


def run(options: argparse.Namespace, *, database: str) -> None:
    print(
        f"{connection.vendor}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}; "
        "each figure is a median, in brackets the lowest and the highest"
    )
    floor.make_tables()
    if "backfill" in options.parts or "size" in options.parts:
        _backfill(options)
    if "idle" in options.parts:
        _idle(options)
    if "memory" in options.parts:
        _memory(options, database)
    if "webhook" in options.parts:
        _webhook(options)
    if "intake" in options.parts:
        _intake(options)
    if "calendar" in options.parts:
        _calendar(options)


def _backfill(options: argparse.Namespace) -> None:
    """Both sizes, from the sandbox and from a replay of it."""
    sizes = Sizes(naive_messages=min(600, options.messages // 2), rounds=options.rounds)
    messages = int(options.messages / LISTED_SHARE)
    with (
        servers.sandbox(
            mailboxes=4,
            messages=messages,
            history_days=HISTORY_DAYS,
            anchor=servers.end_of_working_week(),
        ) as sandbox,
        servers.replay(sandbox) as replay,
    ):
        mail = scenery.look_through(servers.gateway(sandbox), share=MATCHING)
        scenery.make_correspondents(mail)
        scenery.grow(contacts=options.contacts, entries=0)
        head = (
            f"{mail.messages:,} messages, {mail.share:.0%} matching, {options.contacts:,} contacts"
        )
        if "backfill" in options.parts:
            _show(
                f"Backfill: {head}", "sandbox", backfill.compare(sandbox, mail, sizes, warm_up=True)
            )
        small = backfill.compare(replay, mail, sizes, warm_up=True)
        misses = servers.replay_misses(replay)
        _show(f"Backfill: {head}", "replay", small)
        queries = backfill.count_queries(replay, mail)
        print(
            f"  queries           {queries.whole} for {queries.pages} pages; "
            f"{queries.of_a_page} for a page with {queries.matches} new matches"
        )
        keep("queries of a backfill", **vars(queries))
        if "size" in options.parts:
            start = time.monotonic()
            scenery.grow(contacts=options.large, entries=options.large)
            print(f"\n(making {options.large:,} of each took {time.monotonic() - start:.0f} s)")
            large = backfill.compare(replay, mail, sizes, warm_up=True)
            _show(f"The same with {options.large:,} contacts and ledger entries", "replay", large)
            _compare_sizes(small, large)
        if servers.replay_misses(replay) != misses:
            print("  ! the replay had to ask the sandbox: its figures mean little")


def _show(title: str, server: str, rounds: Rounds) -> None:
    product, plain, naive = rounds["product"], rounds["floor"], rounds["naive"]
    print(f"\n{title}, from the {server}")
    for name, timings in rounds.items():
        each = sorted(rates(timings))
        print(
            f"  {name:8} {statistics.median(each):7,.0f} messages/s "
            f"({each[0]:,.0f} to {each[-1]:,.0f}), "
            f"{1000 / median(cpu_rates(timings)):.2f} ms CPU of the worker for each"
        )
    print(f"  product / floor   {ratio(rates(product), rates(plain))}   aim: at least 0.50")
    print(f"     … by CPU       {ratio(cpu_rates(product), cpu_rates(plain))}")
    print(f"  product / naive   {ratio(rates(product), rates(naive))}   aim: at least 10")
    print(f"  floor / naive     {ratio(rates(plain), rates(naive))}")
    keep(title, server=server, rounds=rounds)


def _compare_sizes(small: Rounds, large: Rounds) -> None:
    """As shares of the floor of the same minutes: the machine is not always the same."""
    change = [
        ratio(figure(large["product"]), figure(large["floor"])).median
        / ratio(figure(small["product"]), figure(small["floor"])).median
        for figure in (rates, cpu_rates)
    ]
    print(
        f"  large / small     {change[0]:.2f} of the floor, {change[1]:.2f} by CPU"
        "   aim: at least 0.90"
    )
    keep("large / small", of_floor=change[0], by_cpu=change[1])


def _idle(options: argparse.Namespace) -> None:
    found = idle.measure(mailboxes=options.mailboxes, sample=options.sample, rounds=options.rounds)
    product, plain = found.rounds["product"], found.rounds["floor"]
    print(
        f"\nIdle passes: {found.sample} of {found.mailboxes:,} mailboxes, "
        f"{found.listed:.0f} messages listed and known in each"
    )
    for name, timings in found.rounds.items():
        print(
            f"  {name:8} {median(rates(timings)):7,.1f} passes/s, "
            f"{1000 / median(cpu_rates(timings)):.1f} ms CPU of the worker for each"
        )
    print(f"  product / floor   {ratio(rates(product), rates(plain))}")
    print(f"  queries           {found.queries} per pass (the task's own included)")
    keep("idle", **vars(found))


def _memory(options: argparse.Namespace, database: str) -> None:
    messages = int(options.memory_messages / LISTED_SHARE)
    with servers.sandbox(
        mailboxes=4,
        messages=messages,
        history_days=HISTORY_DAYS,
        anchor=servers.end_of_working_week(),
    ) as sandbox:
        mail = scenery.look_through(servers.gateway(sandbox), share=MATCHING)
        scenery.make_correspondents(mail)
        scenery.new_rep(mail)
        figures = memory.measure(sandbox, database=database)
    growth = figures["end"] - figures["early"]
    print(
        f"\nPeak memory of a backfill of {figures['messages']:,.0f} messages\n"
        f"  {figures['before']:.0f} MB before, {figures['early']:.0f} MB after the first "
        f"{min(memory.FIRST, int(figures['messages'])):,}, {figures['end']:.0f} MB at the end: "
        f"{growth:+.1f} MB   aim: at most +30"
    )
    keep("memory", **figures)


def _webhook(options: argparse.Namespace) -> None:
    latencies = webhook.measure(deliveries=options.deliveries)
    half, most = webhook.share(latencies, 0.5), webhook.share(latencies, 0.95)
    print(
        f"\nFrom the provider to the customer's page by webhook, {len(latencies)} messages\n"
        f"  p50 {half:.2f} s, p95 {most:.2f} s, longest {latencies[-1]:.2f} s"
        "   aim: p95 under 2 s"
    )
    keep("webhook", p50=half, p95=most, longest=latencies[-1], deliveries=len(latencies))


def _intake(options: argparse.Namespace) -> None:
    found = intake.measure(
        messages=options.intake_messages, contacts=options.contacts, rounds=options.rounds
    )
    product, plain = found.rounds["product"], found.rounds["floor"]
    print(
        f"\nIntake: {found.messages:,} messages in Gmail, {found.matched:,} matching, "
        f"{options.contacts:,} contacts, from the replay"
    )
    for name, timings in found.rounds.items():
        print(
            f"  {name:8} {median(rates(timings)):7,.0f} messages/s, "
            f"{1000 / median(cpu_rates(timings)):.2f} ms CPU of the worker for each"
        )
    print(f"  product / floor   {ratio(rates(product), rates(plain))}")
    print(f"     … by CPU       {ratio(cpu_rates(product), cpu_rates(plain))}")
    print(f"  queries           {found.queries} for {found.messages:,} messages")
    keep("intake", **vars(found))


def _calendar(options: argparse.Namespace) -> None:
    idle_found = calendar.idle(
        calendars=options.calendars, sample=options.calendar_sample, rounds=options.rounds
    )
    print(f"\nCalendars without news: {idle_found.sample} of {idle_found.calendars:,} calendars")
    _show_two(idle_found.rounds, unit="passes")
    print(f"  queries           {idle_found.queries} per pass (the task's own included)")
    keep("idle calendars", **vars(idle_found))
    found = calendar.large_import(
        events=options.events, contacts=options.contacts, rounds=options.rounds
    )
    print(
        f"\nImport: {found.events:,} events, {found.imported:,} with a contact, "
        f"{options.contacts:,} contacts, from the replay"
    )
    _show_two(found.rounds, unit="events")
    print(f"  queries           {found.queries} for {found.pages} pages")
    keep("calendar import", **vars(found))


def _show_two(rounds: Rounds, *, unit: str) -> None:
    product, plain = rounds["product"], rounds["floor"]
    for name, timings in rounds.items():
        print(
            f"  {name:8} {median(rates(timings)):7,.1f} {unit}/s, "
            f"{1000 / median(cpu_rates(timings)):.2f} ms CPU of the worker for each"
        )
    print(f"  product / floor   {ratio(rates(product), rates(plain))}")
    print(f"     … by CPU       {ratio(cpu_rates(product), cpu_rates(plain))}")
