SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help setup demo test check format schema bench peers clients compat clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

setup: $(BIN)/.offramp ## make .venv and install Offramp with what development needs

$(BIN)/.offramp: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Offramp needs Python 3.11 or newer; set PYTHON=python3.11")'
	$(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[dev]'
	touch $@

demo: setup ## train the starter policies, serve them, send traffic (ARGS=--once ends by itself, ARGS=--real forwards)
	$(BIN)/offramp demo $(ARGS)

test: setup ## run the whole test suite (ARGS= are pytest's)
	$(BIN)/python -m pytest $(ARGS)

check: setup ## lint, types, import contracts, files in sync
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest tests/docs

clients: ## install other clients, each in an environment of its own, whose parsers `make test` tries (.clients)
	for name in instructor langchain-openai; do \
		.clients/$$name/bin/python -m pip --version >/dev/null 2>&1 \
			|| $(PYTHON) -m venv --clear .clients/$$name || exit; \
		.clients/$$name/bin/pip install --quiet --disable-pip-version-check $$name || exit; \
	done
	mkdir -p .clients/node
	cp tests/e2e/clients/package.json .clients/node/
	npm install --prefix .clients/node --no-audit --no-fund --loglevel=error

compat: setup clients ## let those clients ask a real gateway, and say which versions they are
	$(BIN)/python -m pytest tests/e2e/test_clients.py -rP $(ARGS)

format: setup ## format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

schema: setup ## write config/schema from the code
	$(BIN)/python -m gateway.config.jsonschema config/schema

bench: setup ## measure quality and speed (ARGS="--data FOLDER" names the folder that holds banking77/)
	$(BIN)/python -m benchmarks $(ARGS)

peers: setup ## train SetFit and others on the same rows and compare (makes .venv-peers; half an hour)
	$(BIN)/python -m benchmarks.peers $(ARGS)

clean: ## remove what was made here
	rm -rf $(VENV) .venv-peers .clients models offramp.db offramp.db-* dist build .mypy_cache .ruff_cache .pytest_cache .hypothesis
