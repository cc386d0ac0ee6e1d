# The tasks of this project. `make help` lists them. Everything runs in .venv, which the first task sets up.
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
USE_CASE ?= flight_delay
AS_OF ?= 2013-04-01

.DEFAULT_GOAL := help
.PHONY: help setup demo serve flow ui test fuzz test-fast test-zones check docs lock clean

help:  ## list the tasks
	@awk 'BEGIN {FS = ":.*## "} /^[a-z%-]+:.*## / {printf "  make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(READY)  ## create .venv and install exactly what requirements.lock names

$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(0 if (3, 11) <= v < (3, 13) else f"Python {v[0]}.{v[1]} is {sys.executable}; Esteira needs 3.11 or 3.12. Try: make setup PYTHON=python3.11")'
	@echo "Setting up $(VENV) (about 1.7 GB, a minute or two) …"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes --requirement requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $(READY)

demo: $(READY)  ## the whole belt on the real flights of 2013, in a few minutes
	@$(BIN)/esteira demo

serve: $(READY)  ## serve the live release of USE_CASE over HTTP, from its bento
	@ESTEIRA_CLOCK=$${ESTEIRA_CLOCK:-belt} $(BIN)/esteira serve $(USE_CASE)  # the flights are of 2013: their belt tells the time

flow: $(READY)  ## run one flow: make flow FLOW=train USE_CASE=flight_delay AS_OF=2013-04-01
	@test -n "$(FLOW)" || { echo "Say which flow: make flow FLOW=ingest|train|validate|precompute|monitor"; exit 2; }
	@$(BIN)/esteira flow $(FLOW) $(USE_CASE) --as-of $(AS_OF)

ui: $(READY)  ## open the web pages of Prefect and MLflow on this machine
	@$(BIN)/esteira ui

test: $(READY)  ## all tests
	@$(BIN)/python -m pytest

fuzz: $(READY)  ## five thousand generated requests to a real service (a quarter of an hour; make test sends some hundred)
	@$(BIN)/python -m pytest tests/bentos/test_safety.py -k generated_requests --generated-requests 5000

test-fast: $(READY)  ## the tests that take a minute together
	@$(BIN)/python -m pytest -m "not slow" -n 2

test-zones: $(READY)  ## the fast tests under three time zones, and the belt under each with equal output
	@for zone in UTC America/New_York Asia/Kathmandu; do \
	  echo "TZ=$$zone" && TZ=$$zone $(BIN)/python -m pytest -m "not slow" -n 2 || exit 1; done
	@$(BIN)/python -m pytest tests/flows/test_time_zones.py

check: $(READY)  ## style, types and the laws of the tree
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

bench-%: $(READY)  ## a benchmark beside its peers: make bench-features, bench-online, bench-gate, …
	@$(BIN)/python -m benchmarks.$*

docs: $(READY)  ## write docs/reference.md anew, from the program
	@$(BIN)/python -m esteira.cli.reference > docs/reference.md.new && mv docs/reference.md.new docs/reference.md

lock:  ## resolve requirements.lock anew (needs uv)
	uv pip compile pyproject.toml --extra dev --universal --python-version 3.11 --generate-hashes \
	  --no-emit-index-url --no-header --no-annotate --quiet --output-file requirements.lock

clean:  ## forget all state of the belt (tables, models, releases), keep .venv
	rm -rf .esteira
