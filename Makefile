# Everything sets itself up: it needs Python ≥ 3.11, make and a package index, nothing else.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
# These compute, and leave the cores to the others, which start whole installations and mostly wait.
COMPUTING := tests/access tests/admin tests/alerts tests/reliability tests/scoring tests/shared \
  tests/simulation
COMPUTED := $(VENV)/computing.log
LOCK := $(BIN)/uv pip compile pyproject.toml --generate-hashes --universal --no-header --quiet

.DEFAULT_GOAL := help
.PHONY: help setup up demo check test chaos chaos-processes format lock bench

help: ## This list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

# The marker is of this very lock file and project file: the second time there is nothing to do.
$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  echo "Myaku needs Python 3.11 or newer; $(PYTHON) is not that. Name one: make PYTHON=python3.12"; exit 1; }
	@echo "Making the virtual environment in $(VENV) (once, about a minute) …"
	@$(PYTHON) -m venv --clear $(VENV)
	@echo "Installing the locked packages …"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

setup: $(READY) ## The virtual environment, with all that is needed

up: $(READY) ## Everything in one command, until Ctrl-C
	@$(BIN)/myaku up

demo: $(READY) ## A simulated product: its last 90 days, then live, until Ctrl-C
	@$(BIN)/myaku demo

check: $(READY) ## Formatting, lint, types, who may import whom
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

test: $(READY) ## All tests, on the real parts; on Apache Kafka too where Java and Maven are
	@nice -n 19 $(BIN)/pytest --numprocesses 2 --dist loadfile $(COMPUTING) >$(COMPUTED) 2>&1 & \
	computing=$$!; trap 'kill $$computing' INT TERM; \
	$(BIN)/pytest $(COMPUTING:%=--ignore=%); others=$$?; \
	wait $$computing; computed=$$?; cat $(COMPUTED); \
	[ $$others = 0 ] && [ $$computed = 0 ]

chaos: $(READY) ## 200,000 simulated worlds, with faults at every await
	$(BIN)/python -m tests.simulation --seeds 200000

# A seed for each run: CHAOS_SEED=100 CHAOS_RUNS=10 make chaos-processes.
CHAOS_SEED ?= 1
CHAOS_RUNS ?= 5
CHAOS := $(BIN)/python -m tests.chaos --seed $(CHAOS_SEED) --runs $(CHAOS_RUNS)

chaos-processes: $(READY) ## Real processes under many more faults, on both brokers
	$(BIN)/pytest -m long tests/chaos
	$(CHAOS) --broker tansu
	$(CHAOS) --broker apache-kafka

format: $(READY) ## Format the code, and mend what ruff can
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

lock: $(READY) ## Resolve the dependencies of pyproject.toml anew
	$(LOCK) --extra standalone --extra build --extra dev -o requirements.lock
	$(LOCK) --extra build --constraint requirements.lock -o requirements.image.lock
