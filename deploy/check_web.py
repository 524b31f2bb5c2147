"""Health check of the web container: exit 0 when this server answers.

Asks as the proxy in front would, so that neither ALLOWED_HOSTS nor the redirect to https refuses.
"""

import os
import sys
import urllib.error
import urllib.request

hosts = [host.strip() for host in os.environ.get("ALLOWED_HOSTS", "").split(",") if host.strip()]
host = next((host.lstrip(".") for host in hosts if host != "*"), "localhost")
request = urllib.request.Request(
    "http://127.0.0.1:8000/healthz", headers={"Host": host, "X-Forwarded-Proto": "https"}
)
try:
    with urllib.request.urlopen(request, timeout=5) as response:
        sys.exit(response.status != 200)
except (urllib.error.URLError, OSError) as error:
    sys.exit(f"no answer: {error}")
