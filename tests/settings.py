"""The settings under test: the real ones, in a place and with secrets of their own.

With DATABASE_URL and REDIS_URL set (`make test-services`) the suite runs on those, else on the
embedded default. Nothing here touches the developer's `var/` or reads the developer's environment.
"""

import os
import tempfile
from pathlib import Path
from urllib.parse import urlsplit

_SCRUBBED = (
    "DEBUG ALLOWED_HOSTS PUBLIC_URL NYLAS_API_URI NYLAS_API_KEY NYLAS_CLIENT_ID "
    "NYLAS_WEBHOOK_SECRET GOOGLE_AUTH_URI GOOGLE_TOKEN_URI GMAIL_API_ENDPOINT EMAIL_URL"
)
for _name in _SCRUBBED.split():
    os.environ.pop(_name, None)

# The first process makes the place, pytest-xdist's workers inherit it; conftest.py removes it.
RUN_DIR = os.environ.setdefault("TEST_RUN_DIR", "") or tempfile.mkdtemp(prefix="crm-sync-test-")
os.environ["TEST_RUN_DIR"] = RUN_DIR
_worker = os.environ.get("PYTEST_XDIST_WORKER", "main")
os.environ["VAR_DIR"] = str(Path(RUN_DIR) / _worker)
os.environ["SECRET_KEY"] = "for tests only, and long enough to be accepted as a secret key"
os.environ["FIELD_ENCRYPTION_KEYS"] = "dGVzdHMgb25seSwgMzIgYnl0ZXMgbG9uZywgbm8ga2U="
if os.environ.get("REDIS_URL", "").startswith("redis") and _worker.startswith("gw"):
    # Each worker process has a database of its own on the shared server.
    os.environ["REDIS_URL"] = urlsplit(os.environ["REDIS_URL"])._replace(path=_worker[2:]).geturl()

from crm_sync.settings import *  # noqa: E402, F403
from crm_sync.settings import DATABASES, STORAGES, VAR_DIR  # noqa: E402

if DATABASES["default"]["ENGINE"] == "django.db.backends.sqlite3":
    # A file, not memory: threads and real worker processes connect to it too.
    DATABASES["default"]["TEST"] = {"NAME": str(VAR_DIR / "test.sqlite3")}

STORAGES["staticfiles"]["BACKEND"] = "django.contrib.staticfiles.storage.StaticFilesStorage"
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
