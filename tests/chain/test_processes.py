"""What the chain promises about single processes."""

import os
import signal
import subprocess
import sys
from pathlib import Path

from crm_sync import embedded_redis
from tests.conftest import redis_server, wait_until


def test_a_killed_server_leaves_a_socket_file_that_does_not_answer(tmp_path: Path) -> None:
    path = tmp_path / "redis.sock"
    with redis_server(tmp_path):
        assert embedded_redis.answers(path)
    path.touch()
    assert not embedded_redis.answers(path)
    with redis_server(tmp_path):
        assert embedded_redis.answers(path)


def test_a_child_dies_with_its_killed_parent(tmp_path: Path) -> None:
    program = (
        "import os, subprocess, sys, time\n"
        "from functools import partial\n"
        "from crm_sync.processes import die_with_parent\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'],\n"
        "    preexec_fn=partial(die_with_parent, os.getpid()))\n"
        "print(child.pid, flush=True)\n"
        "time.sleep(60)\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    wait_until(lambda: not is_running(child), "the child is gone", seconds=5)


def is_running(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z" and os.path.exists(f"/proc/{pid}")
