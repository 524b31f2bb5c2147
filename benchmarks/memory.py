"""Peak memory over one long backfill, in a process of its own: `python -m benchmarks.memory URL`.

A process of its own, because the peak of a process never falls again.
"""

import json
import os
import resource
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FIRST = 10_000


def measure(url: str, *, database: str) -> dict[str, float]:
    """Messages, and the peak in MB after the first 10,000 and at the end."""
    answer = subprocess.run(
        [sys.executable, "-m", "benchmarks.memory", url],
        cwd=ROOT,
        env=os.environ | {"BENCH_DATABASE": database},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    found: dict[str, float] = json.loads(answer.stdout.splitlines()[-1])
    return found


def _peak() -> float:
    """In MB. Linux: getrusage's peak would be the parent's, it survives the start of a program."""
    status = Path("/proc/self/status")
    if status.exists():
        line = next(n for n in status.read_text().splitlines() if n.startswith("VmHWM:"))
        return int(line.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1 << 20)  # macOS: bytes


def main(url: str) -> None:
    import django

    django.setup()
    from accounts.models import MailboxSync
    from accounts.system_settings import Settings
    from benchmarks import servers
    from email_sync.sync import sync_mailbox

    sync = MailboxSync.objects.select_related("mailbox__user").latest("pk")
    before = _peak()
    peaks: list[tuple[int, float]] = []
    seen = 0

    def note(_: object, listed: int) -> None:
        nonlocal seen
        seen += listed
        peaks.append((seen, _peak()))

    report = sync_mailbox(sync, gateway=servers.gateway(url), settings=Settings(), report=note)
    if report.outcome != "complete":
        sys.exit(f"The pass did not go as it should: {report}")
    early = next((peak for messages, peak in peaks if messages >= FIRST), peaks[-1][1])
    figures = {"messages": seen, "before": before, "early": early, "end": _peak()}
    sys.stdout.write(json.dumps(figures) + "\n")


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "benchmarks.settings")
    main(sys.argv[1])
