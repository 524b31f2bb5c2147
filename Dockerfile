# One image for web, worker and beat; docker-compose.yml says which is which.

# --- front-end files: exact copies out of npm packages -----------------------------------------
FROM python:3.12-slim-bookworm AS assets
WORKDIR /app
COPY requirements-node.txt package.json package-lock.json .npmrc ./
RUN pip install --no-cache-dir --requirement requirements-node.txt
COPY scripts/assets.py scripts/
COPY static/icons.txt static/
RUN python scripts/assets.py

# --- the product -------------------------------------------------------------------------------
FROM python:3.12-slim-bookworm
ENV PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 VAR_DIR=/var/lib/crm
RUN useradd --system --create-home --home-dir /var/lib/crm --shell /usr/sbin/nologin crm
WORKDIR /app
COPY requirements.txt .
RUN pip install --no-cache-dir --requirement requirements.txt
COPY . .
COPY --from=assets /app/static/vendor static/vendor
# Collecting needs settings, but neither these secrets nor a database.
RUN DATABASE_URL=postgres://none/none SECRET_KEY=only-for-this-step \
    FIELD_ENCRYPTION_KEYS=b25seSBmb3IgdGhlIGNvbGxlY3Rpbmcgc3RlcCwgMzI= \
    python manage.py collectstatic --noinput
USER crm
EXPOSE 8000
CMD ["gunicorn", "--config", "deploy/gunicorn.conf.py", "crm_sync.wsgi"]
