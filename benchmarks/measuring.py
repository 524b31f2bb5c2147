"""Timings, ratios, and where they are written down."""

import gc
import json
import os
import platform
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from django.db import connection

RESULTS = Path(__file__).resolve().parent.parent / "var" / "bench" / "results.jsonl"


@dataclass(frozen=True)
class Timing:
    """`cpu` is this process's own: unlike the clock it does not see what else the machine does."""

    items: int
    seconds: float
    cpu: float

    @property
    def rate(self) -> float:
        return self.items / self.seconds

    @property
    def cpu_rate(self) -> float:
        return self.items / self.cpu


def timed(work: Callable[[], int]) -> Timing:
    """`work` returns how many messages (passes) it did."""
    gc.collect()
    cpu, start = time.process_time(), time.perf_counter()
    items = work()
    return Timing(items, time.perf_counter() - start, time.process_time() - cpu)


Rounds = dict[str, list[Timing]]


def interleaved(ways: dict[str, Callable[[], int]], *, rounds: int) -> Rounds:
    """Each way in turn, `rounds` times, so that a slow minute of the machine meets all of them."""
    found: Rounds = {name: [] for name in ways}
    for _ in range(rounds):
        for name, work in ways.items():
            found[name].append(timed(work))
    return found


@dataclass(frozen=True)
class Ratio:
    median: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.median:.2f} ({self.low:.2f} to {self.high:.2f})"


def ratio(above: Sequence[float], below: Sequence[float]) -> Ratio:
    """Round by round, then the median, the lowest and the highest."""
    each = [a / b for a, b in zip(above, below, strict=True)]
    return Ratio(statistics.median(each), min(each), max(each))


def rates(timings: Sequence[Timing]) -> list[float]:
    return [timing.rate for timing in timings]


def cpu_rates(timings: Sequence[Timing]) -> list[float]:
    return [timing.cpu_rate for timing in timings]


def median(values: Sequence[float]) -> float:
    return statistics.median(values)


@contextmanager
def queries_counted() -> Iterator[list[str]]:
    """The statements of the block, without BEGIN and COMMIT."""
    seen: list[str] = []

    def note(execute: Any, sql: str, *rest: Any) -> Any:
        seen.append(sql)
        return execute(sql, *rest)

    with connection.execute_wrapper(note):
        yield seen


def keep(name: str, **figures: Any) -> None:
    """Append one line to var/bench/results.jsonl."""
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    line = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "benchmark": name,
        "database": connection.vendor,
        "python": platform.python_version(),
        "cores": os.cpu_count(),
        "load": round(os.getloadavg()[0], 2),
        **figures,
    }
    with RESULTS.open("a", encoding="utf-8") as file:
        file.write(json.dumps(line, default=vars) + "\n")
