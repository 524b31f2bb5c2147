"""Settings, read from the environment (README, “Settings”). Defaults suit production endpoints.

With neither DATABASE_URL nor REDIS_URL the embedded default runs: SQLite and a small
Redis-compatible server under `var/`, with secrets made on first use.
"""

from pathlib import Path

import environ
from cryptography.fernet import Fernet
from csp.constants import NONCE, NONE, SELF
from django.core.exceptions import ImproperlyConfigured

from crm_sync import environment

BASE_DIR = Path(__file__).resolve().parent.parent
# What a run leaves behind; tests and a second demo name another place.
VAR_DIR = Path(environment.text("VAR_DIR", str(BASE_DIR / "var"))).resolve()
IS_EMBEDDED = not environment.text("DATABASE_URL")

DEBUG = environment.flag("DEBUG")

_WHY_SECRET = "It is needed as soon as DATABASE_URL is set; any long random text will do."
_WHY_KEYS = (
    "It is needed as soon as DATABASE_URL is set, to encrypt grants: Fernet keys, comma-separated, "
    "newest first."
)
if IS_EMBEDDED:
    SECRET_KEY = environment.text("SECRET_KEY") or environment.kept_secret(VAR_DIR / "secret_key")
    _keys = environment.names("FIELD_ENCRYPTION_KEYS") or [
        environment.kept_secret(VAR_DIR / "field_encryption_key", Fernet.generate_key())
    ]
else:
    SECRET_KEY = environment.required("SECRET_KEY", _WHY_SECRET)
    environment.required("FIELD_ENCRYPTION_KEYS", _WHY_KEYS)
    _keys = environment.names("FIELD_ENCRYPTION_KEYS")
FIELD_ENCRYPTION_KEYS = environment.fernet_keys("FIELD_ENCRYPTION_KEYS", _keys)

# Where people reach this CRM: redirect addresses and links in emails begin with it.
PUBLIC_URL = environment.address("PUBLIC_URL", "http://localhost:8000")
ALLOWED_HOSTS = environment.names("ALLOWED_HOSTS") or ["localhost", "127.0.0.1", "[::1]"]
CSRF_TRUSTED_ORIGINS = [PUBLIC_URL]

# --- the providers -----------------------------------------------------------------------------
NYLAS_API_URI = environment.address("NYLAS_API_URI", "https://api.us.nylas.com")
NYLAS_API_KEY = environment.text("NYLAS_API_KEY")
NYLAS_CLIENT_ID = environment.text("NYLAS_CLIENT_ID")
# Of a webhook made elsewhere; what `manage.py webhook` registers keeps its secret in the database.
NYLAS_WEBHOOK_SECRET = environment.text("NYLAS_WEBHOOK_SECRET")

# Google, for the mailbox to which mail is BCC'd or forwarded.
GOOGLE_AUTH_URI = environment.address(
    "GOOGLE_AUTH_URI", "https://accounts.google.com/o/oauth2/v2/auth"
)
GOOGLE_TOKEN_URI = environment.address("GOOGLE_TOKEN_URI", "https://oauth2.googleapis.com/token")
GMAIL_API_ENDPOINT = environment.address("GMAIL_API_ENDPOINT", "https://gmail.googleapis.com")

# --- applications ------------------------------------------------------------------------------
INSTALLED_APPS = [
    "crm_sync",
    "accounts",
    "email_sync",
    "calendar_sync",
    "monitor",
    "django_htmx",
    "csp",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.humanize",
    "django.contrib.messages",
    "django.contrib.sessions",
    "django.contrib.staticfiles",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "csp.middleware.CSPMiddleware",
    "crm_sync.browser.PrivatePagesMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.auth.middleware.LoginRequiredMiddleware",
    "accounts.middleware.UserTimeZoneMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
]

ROOT_URLCONF = "crm_sync.urls"
WSGI_APPLICATION = "crm_sync.wsgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

AUTH_USER_MODEL = "accounts.User"
LOGIN_URL = "accounts:login"
LOGIN_REDIRECT_URL = "accounts:home"
LOGOUT_REDIRECT_URL = "accounts:login"
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator"},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]

# --- database ----------------------------------------------------------------------------------
_env = environ.Env()
try:
    DATABASES = {"default": _env.db("DATABASE_URL", default=f"sqlite:///{VAR_DIR / 'crm.sqlite3'}")}
except (ImproperlyConfigured, ValueError) as error:
    raise ImproperlyConfigured(f"DATABASE_URL cannot be read: {type(error).__name__}.") from None
if DATABASES["default"]["ENGINE"] == "django.db.backends.sqlite3":
    VAR_DIR.mkdir(parents=True, exist_ok=True)
    # Without these three, half of concurrent writes fail with “database is locked”.
    DATABASES["default"]["OPTIONS"] = {
        "transaction_mode": "IMMEDIATE",
        "timeout": 20,
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
    }
else:
    DATABASES["default"]["CONN_MAX_AGE"] = 60
    DATABASES["default"]["CONN_HEALTH_CHECKS"] = True
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# --- queue: never the truth, only a way to wake workers (design, invariant 7) --------------------
EMBEDDED_REDIS_SOCKET = VAR_DIR / "valkey.sock"
REDIS_URL = environment.text("REDIS_URL", f"unix://{EMBEDDED_REDIS_SOCKET}")
if not REDIS_URL.startswith(("redis://", "rediss://", "unix://")):
    raise ImproperlyConfigured("REDIS_URL must begin with redis://, rediss:// or unix://.")
# kombu and redis-py name the same socket by different schemes.
CELERY_BROKER_URL = REDIS_URL.replace("unix://", "redis+socket://", 1)
# A pass is short but for a first backfill, which stops at this age and goes on in its next task.
LONGEST_TASK_SECONDS = 30 * 60
CELERY_BROKER_TRANSPORT_OPTIONS = {
    "visibility_timeout": 2 * LONGEST_TASK_SECONDS,
    # kombu looks for tasks of lost workers only every 10 s × 10 by default.
    "unacked_restore_interval": 5,
    "unacked_restore_throttle": 1,
    "socket_connect_timeout": 5,
    # Who queues something (a page, a webhook) hears at once that the queue is away, not after 6 s.
    "max_retries": 0,
}
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_DEFAULT_QUEUE = "poll"
CELERY_TIMEZONE = "UTC"
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_BEAT_SCHEDULE_FILENAME = str(VAR_DIR / "beat-schedule")

# --- the browser -------------------------------------------------------------------------------
STATIC_URL = "static/"
STATIC_ROOT = BASE_DIR / "staticfiles"
STATICFILES_DIRS = [BASE_DIR / "static"]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"
        if DEBUG or IS_EMBEDDED
        else "whitenoise.storage.CompressedManifestStaticFilesStorage"
    },
}
# The embedded default serves files where they lie; production collects them first.
WHITENOISE_USE_FINDERS = DEBUG or IS_EMBEDDED

CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [NONE],
        "script-src": [SELF],
        # The nonce is only on pages with a calendar: FullCalendar brings a style sheet in code.
        "style-src": [SELF, NONCE],
        # Tabler draws its arrows and check marks as data: images.
        "img-src": [SELF, "data:"],
        # FullCalendar's few icons are a font within its style sheet.
        "font-src": [SELF, "data:"],
        "connect-src": [SELF],
        "frame-src": [SELF],
        "form-action": [SELF],
        "base-uri": [NONE],
        "frame-ancestors": [NONE],
    }
}
X_FRAME_OPTIONS = "DENY"
SECURE_REFERRER_POLICY = "same-origin"
SESSION_COOKIE_HTTPONLY = True
if PUBLIC_URL.startswith("https://"):
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    SECURE_SSL_REDIRECT = True
    SECURE_HSTS_SECONDS = 60 * 60 * 24 * 365
    SESSION_COOKIE_SECURE = True
    CSRF_COOKIE_SECURE = True

# --- times, mail, logs ---------------------------------------------------------------------------
LANGUAGE_CODE = "en"
TIME_ZONE = "UTC"
USE_I18N = True
USE_TZ = True

# Never the console: letters hold addresses, and what is printed ends in logs.
_email = _env.email_url("EMAIL_URL", default=f"filemail:///{VAR_DIR / 'mail'}")
vars().update({key: value for key, value in _email.items() if key.startswith("EMAIL_")})
DEFAULT_FROM_EMAIL = environment.text("DEFAULT_FROM_EMAIL", "CRM <crm@localhost>")

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"plain": {"format": "%(asctime)s %(levelname)s %(name)s %(message)s"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "plain"}},
    "root": {"handlers": ["stderr"], "level": "INFO"},
    # These would log addresses with their query strings, codes and tokens.
    "loggers": {
        name: {"level": "WARNING"}
        for name in (
            *("urllib3", "nylas"),
            *("google", "googleapiclient", "requests_oauthlib", "oauthlib"),
        )
    },
}
