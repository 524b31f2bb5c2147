"""The product's settings for a throw-away database, with secrets of their own.

`python -m benchmarks` names the place in VAR_DIR. A process of its own (`benchmarks.memory`) works
on the database that its parent made: BENCH_DATABASE.
"""

import os
from pathlib import Path

os.environ["SECRET_KEY"] = "for benchmarks only, and long enough to be accepted as a secret key"
os.environ["FIELD_ENCRYPTION_KEYS"] = "dGVzdHMgb25seSwgMzIgYnl0ZXMgbG9uZywgbm8ga2U="

from crm_sync.settings import *  # noqa: F403
from crm_sync.settings import DATABASES, VAR_DIR

DEBUG = False  # It would keep every query in memory.
_database = DATABASES["default"]
if _database["ENGINE"] == "django.db.backends.sqlite3":
    _database["TEST"] = {"NAME": str(VAR_DIR / "bench.sqlite3")}
else:
    _database["TEST"] = {"NAME": f"bench_{Path(str(_database['NAME'])).name}"}
if "BENCH_DATABASE" in os.environ:
    _database["NAME"] = os.environ["BENCH_DATABASE"]
