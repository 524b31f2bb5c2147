"""The web server, in production and in the demo."""

from typing import Any

from crm_sync.processes import die_with_parent

bind = "0.0.0.0:8000"  # in a container; the demo names its own
workers = 2
threads = 4
graceful_timeout = 5
accesslog = "-"
# A query string may hold an address somebody searched for, so it stays out of the log.
access_log_format = "%(h)s %(m)s %(U)s %(s)s %(B)s %(M)sms"
control_socket_disable = True


def post_fork(server: Any, worker: Any) -> None:
    """Without it the workers of a killed master would go on answering beside its successor."""
    die_with_parent(server.pid)
