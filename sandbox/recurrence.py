"""The occurrences of a recurring event: the common part of RFC 5545, in local time."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sandbox.errors import bad_request

DAY_NAMES = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")
MAX_OCCURRENCES = 2_000
_RULE_PARTS = {"FREQ", "INTERVAL", "COUNT", "UNTIL", "BYDAY", "WKST"}


def parse_rule(recurrence: list[str]) -> tuple[dict[str, str], set[int]]:
    """The parts of the RRULE, and the start times that EXDATE lines take out."""
    rule: dict[str, str] = {}
    excluded: set[int] = set()
    for line in recurrence:
        name, _, value = line.partition(":")
        if name.upper() == "RRULE":
            rule = dict(part.split("=", 1) for part in value.upper().split(";") if "=" in part)
        elif name.upper().startswith("EXDATE"):
            zone = ZoneInfo(name.partition("TZID=")[2]) if "TZID=" in name.upper() else UTC
            excluded.update(_stamp(part, zone) for part in value.split(","))
    if rule.get("FREQ") not in ("DAILY", "WEEKLY", "MONTHLY", "YEARLY"):
        raise bad_request(
            "recurrence needs an RRULE with a FREQ of DAILY, WEEKLY, MONTHLY or YEARLY"
        )
    if unknown := rule.keys() - _RULE_PARTS:
        raise bad_request(f"recurrence: not modelled by the sandbox: {', '.join(sorted(unknown))}")
    return rule, excluded


def _stamp(text: str, zone: Any) -> int:
    text = text.strip()
    if len(text) == 8:
        return int(datetime.strptime(text, "%Y%m%d").replace(tzinfo=zone).timestamp())
    moment = datetime.strptime(text.rstrip("Z"), "%Y%m%dT%H%M%S")  # noqa: DTZ007 - zone below
    return int(moment.replace(tzinfo=UTC if text.endswith("Z") else zone).timestamp())


def _days(first: date, rule: dict[str, str]) -> Iterator[date]:
    step = max(1, int(rule.get("INTERVAL", "1")))
    frequency = rule["FREQ"]
    if frequency == "DAILY":
        while True:
            yield first
            first += timedelta(days=step)
    if frequency == "WEEKLY":
        names = rule.get("BYDAY", DAY_NAMES[first.weekday()]).split(",")
        wanted = sorted(DAY_NAMES.index(name[-2:]) for name in names)
        monday = first - timedelta(days=first.weekday())
        while True:
            yield from (day for n in wanted if (day := monday + timedelta(days=n)) >= first)
            monday += timedelta(weeks=step)
    months = step * (12 if frequency == "YEARLY" else 1)
    count = 0
    while True:
        year, month = divmod(first.year * 12 + first.month - 1 + months * count, 12)
        count += 1
        try:
            yield date(year, month + 1, first.day)
        except ValueError:
            continue  # a month without a 31st has no occurrence


def starts(start: int, zone_name: str | None, recurrence: list[str], until: int) -> Iterator[int]:
    """The start of every occurrence before `until`, ascending; the first may be excluded."""
    rule, excluded = parse_rule(recurrence)
    zone = ZoneInfo(zone_name or "UTC")
    local = datetime.fromtimestamp(start, zone)
    clock: time = local.timetz().replace(tzinfo=None)
    end = _stamp(rule["UNTIL"], zone) if "UNTIL" in rule else None
    if end is not None and len(rule["UNTIL"]) == 8:
        end += 86_399
    count = int(rule["COUNT"]) if "COUNT" in rule else MAX_OCCURRENCES
    for number, day in enumerate(_days(local.date(), rule)):
        moment = int(datetime.combine(day, clock, zone).timestamp())
        if number >= count or moment >= until or (end is not None and moment > end):
            return
        if moment not in excluded:
            yield moment
