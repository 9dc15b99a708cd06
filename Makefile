# Everything is done by two commands on a machine that has nothing but Python 3.11 or newer: `make demo`, `make test`.

PYTHON ?= python3
ARGS ?=
# A process of pytest that dies fails the run by name. Replaced, it would leave the run waiting for ever (pytest-xdist #784).
PYTEST_ARGS ?= --numprocesses=2 --dist=loadfile --max-worker-restart=0

VENV := .venv
BIN := $(VENV)/bin
INSTALL := $(BIN)/python -m pip install --disable-pip-version-check --constraint constraints.txt --editable
# A stamp is written after its step has succeeded. An installation takes the stamp of the environment away until it is
# complete, so after an interruption the next run starts over in an empty environment.
VENV_MADE := $(VENV)/.made
DEMO_INSTALLED := $(VENV)/.installed-demo
DEV_INSTALLED := $(VENV)/.installed-dev

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo test check format protos hooks clean

help: ## print this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(DEMO_INSTALLED) ## train, export, serve and ask on real data; options of the demo go into ARGS="--serve"
	@$(BIN)/unbraid demo $(ARGS)

test: check ## all checks, then all tests; options of pytest go into PYTEST_ARGS="-k decay"
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest $(PYTEST_ARGS)

check: $(DEV_INSTALLED) ## format, lint, types, import rules, contract, stubs
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	$(BIN)/buf lint
	$(BIN)/python protos/generate.py --check

format: $(DEV_INSTALLED) ## format all Python code and sort its imports
	$(BIN)/ruff check --select I --fix .
	$(BIN)/ruff format .

protos: $(DEV_INSTALLED) ## generate protos/gen anew
	$(BIN)/python protos/generate.py

hooks: $(DEV_INSTALLED) ## run the quick checks before every commit (pre-commit)
	$(BIN)/pre-commit install

clean: ## remove .venv and all caches; data and releases of the demo stay
	rm -rf $(VENV) .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache build dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV_MADE):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "error: unbraid needs Python 3.11 or newer, but '$(PYTHON)' is not; choose another: make PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2> /dev/null || { \
		echo "error: '$(PYTHON)' has no venv module; install it (Debian and Ubuntu: apt install python3-venv)" >&2; exit 1; }
	$(PYTHON) -m venv --clear $(VENV)
	@touch $@

$(DEMO_INSTALLED): $(VENV_MADE) pyproject.toml constraints.txt
	@rm -f $(VENV_MADE)
	$(INSTALL) '.[server,train]'
	@touch $(VENV_MADE) $@

$(DEV_INSTALLED): $(VENV_MADE) pyproject.toml constraints.txt
	@rm -f $(VENV_MADE)
	$(INSTALL) '.[dev]'
	@touch $(VENV_MADE) $@ $(DEMO_INSTALLED)
