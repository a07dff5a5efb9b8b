# Every target makes what it needs and works without activating anything. `make` alone lists them.

VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
UV := uv==0.13.9 # only `make lock` uses it

# The first Python from 3.11 to 3.14 that can make a virtual environment; `make PYTHON=/path/to/python3.12` overrides.
CANDIDATES := python3 python3.14 python3.13 python3.12 python3.11
CAN_SERVE := import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info < (3, 15))
PYTHON ?= $(shell for python in $(CANDIDATES); do \
	$$python -c '$(CAN_SERVE)' >/dev/null 2>&1 && { command -v $$python; break; }; done)

.DEFAULT_GOAL := help
.PHONY: help install demo drill test unit lint types imports audit bench guard profile performance notebook lock readme dashboards screenshot clean

help: ## list the targets
	@sed -n 's/^\([a-z]*\):[^#]*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 16

install: $(INSTALLED) ## the locked packages and this project into .venv

$(INSTALLED): requirements-dev.lock pyproject.toml
	@test -n "$(PYTHON)" || { \
		echo "error: found no Python from 3.11 to 3.14 with the modules venv and ensurepip (looked for $(CANDIDATES))."; \
		echo "  Install one (Debian, Ubuntu: apt install python3 python3-venv), or name it: make install PYTHON=/path/to/python3.12"; \
		exit 2; } >&2
	@test -x $(BIN)/pip || { echo "making $(VENV) with $(PYTHON)"; $(PYTHON) -m venv $(VENV); }
	@echo "installing the packages of requirements-dev.lock into $(VENV)"
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements-dev.lock
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

OF_BROKERS := broker-lost,brokers-restarted,leaders-moved,followers-away

demo: install ## Kafka, ClickHouse, a worker and traffic; then top pins, outcomes and the verdict of verify
	@$(BIN)/pintally demo

drill: install ## minutes of faults, each at least once, on engines of its own, with one broker, then three; the verdicts
	@$(BIN)/pintally drill --minutes 3
	@$(BIN)/pintally drill --minutes 1 --kafka-brokers 3 --faults $(OF_BROKERS),broker-kill,worker-kill

# Tests also wait for engines, so four processes fit two cores. Each has engines of its own.
# Long tests come first (tests/conftest.py), and whoever is free takes the next one.
ROOMS = tests/schemas tests/counting tests/kafka tests/worker tests/operations tests/settings tests/sinks tests/audit \
	tests/cli tests/features tests/serve tests/log tests/tools tests/operate tests/project
ORDER = --dist loadgroup --no-loadscope-reorder
PARALLEL = -n 4 $(ORDER)

# Each process prepares the asserts of all test files, which takes seconds: that is kept, whatever the environment says.
test unit: export PYTHONDONTWRITEBYTECODE =

test: install ## the whole suite, on the real engines
	@$(BIN)/python -m pytest $(PARALLEL)

unit: install ## only the tests that need no engines, the simulation among them; about a minute on two cores
	@$(BIN)/python -m pytest -n 2 $(ORDER) -m "not engines" $(ROOMS) tests/simulation

lint: install ## ruff: rules and format
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

types: install ## mypy --strict on our packages, the tests, the benchmarks and the examples
	@$(BIN)/mypy
	@$(BIN)/mypy docs/examples/feast docs/examples/notebook

imports: install ## who may import whom: the contracts in pyproject.toml
	@$(BIN)/lint-imports

audit: install ## known vulnerabilities in the locked packages
	@$(BIN)/python -m tests.support.advisories

bench: install ## CPU an event by shape of traffic, Pintally beside its peers, limits; QUICK=--quick for a few minutes
	@$(BIN)/python -m bench.marginal $(QUICK)
	@$(BIN)/python -m bench.run $(QUICK)
	@$(BIN)/python -m bench.limits $(QUICK)

guard: install ## has the hot path become slower? Its rate beside the raw drain of the client, for each shape of traffic
	@$(BIN)/python -m bench.guard

profile: install ## what an event costs in a worker, stage by stage; AGAINST="--against TREE" shows what a change did
	@$(BIN)/python -m bench.profile --worker $(AGAINST)

performance: install ## write the plots and docs/performance.md again from what bench/results holds
	@$(BIN)/python -m bench.plot
	@$(BIN)/python -m bench.performance

# Keeps what is locked where it still fits; `make lock UPGRADE=--upgrade` takes the newest.
# The lock holds for every Python and platform, and names no package index: pip uses the one it is set to.
COMPILE = UV_CUSTOM_COMPILE_COMMAND="make lock" $(BIN)/uv pip compile --quiet --universal --python-version 3.11 \
	--generate-hashes --no-emit-index-url $(UPGRADE) pyproject.toml
COMPILE_PEERS = $(subst pyproject.toml,bench/requirements.txt,$(COMPILE))
COMPILE_EXAMPLES = $(subst pyproject.toml,docs/examples/requirements.txt pyproject.toml --extra features,$(COMPILE))

lock: install ## make the lock files again from pyproject.toml and the two requirements.txt
	@$(BIN)/pip install --quiet --disable-pip-version-check $(UV)
	@$(COMPILE) --all-extras --group dev --output-file requirements-dev.lock
	@$(COMPILE) --extra worker --constraints requirements-dev.lock --output-file requirements.lock
	@$(COMPILE_PEERS) --output-file bench/requirements.lock
	@$(COMPILE_EXAMPLES) --output-file docs/examples/requirements.lock

notebook: install ## run the notebooks of docs/examples on emulated traffic, and write them as HTML
	@$(BIN)/python -m tests.support.notebook

screenshot: install ## the live page with traffic in a real Chromium, as docs/page.png
	@$(BIN)/python -m tests.support.screenshot

readme: install ## write the tables of README.md and of docs/ again from the code
	@$(BIN)/python -m tests.support.readme
	@$(BIN)/python -m tests.support.dictionary
	@$(BIN)/python -m tests.support.dbt_sources
	@$(BIN)/python -m tests.support.chart
	@$(BIN)/python -m tests.compatibility.page

dashboards: install ## write the JSON of Grafana's dashboards again from deploy/grafana
	@$(BIN)/python -m deploy.grafana

clean: ## remove .venv, caches, and the local engines with their data (stop them first)
	rm -rf $(VENV) .pintally build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
