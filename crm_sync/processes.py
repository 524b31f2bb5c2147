"""What the operating system can promise about processes."""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def die_with_parent(parent: int | None = None, sign: signal.Signals = signal.SIGKILL) -> None:
    """Ask the kernel to end this process when its parent ends, however it ends (Linux only).

    The kernel means the *thread* that made this process: start children from a thread that stays.
    `parent` is the pid that is expected; where it was quicker to die, this process ends now.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, sign)
    if parent is not None and os.getppid() != parent:
        os._exit(1)
