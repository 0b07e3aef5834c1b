# One command each. Every command except clean-venv first installs .venv, if it is missing or its pins have changed.
#   make table2     build the main results and print them (results/table2.csv and .md)
#   make test       run all tests; the end of the output lists the skipped ones and why
#   make test-docs  run the commands of the documentation in a fresh clone, with the build of Table 2
#   make test-fast  run the tests that need no workflow run, training, server, browser or real data
#   make lint       ruff, snakefmt, mypy and snakemake --lint
#   make docs       build the documentation as a site (site/index.html)
#   make setup      only install .venv
#   make restore    after `dvc pull` or `dvc checkout`: verify every artifact and register it with Snakemake (docs/dvc.md)
#   make clean-venv delete .venv

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
CORES ?= all

# Rules call `python`: the environment's, as if it were activated.
export PATH := $(CURDIR)/$(BIN):$(PATH)

.PHONY: table2 test test-docs test-fast setup restore lint docs clean-venv

table2: $(STAMP)
	$(BIN)/snakemake results/table2.csv --cores $(CORES)
	@cat results/table2.md

test: $(STAMP)
	$(BIN)/python -m pytest

test-fast: $(STAMP)
	$(BIN)/python -m pytest -m "not slow"

test-docs: $(STAMP)
	$(BIN)/python -m pytest --nightly -n 0 tests/test_documented_blocks.py

setup: $(STAMP)

restore: $(STAMP)
	$(BIN)/python scripts/restore.py

docs: $(STAMP)
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/snakefmt --check Snakefile workflow
	$(BIN)/mypy
	$(BIN)/snakemake --lint

# uv ignores pip's settings. Where pip has its own index or folder of wheels, pip installs, so that these count.
$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "error: Python 3.11 or newer is needed; name one with: make PYTHON=python3.11 setup" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	@if ! command -v uv >/dev/null; then \
	  echo "Installing with pip. This takes minutes; with uv on the PATH it is faster."; installer="$(BIN)/python -m pip"; \
	elif $(BIN)/python -m pip config list | grep -E 'index-url|find-links' >/dev/null; then \
	  echo "Installing with pip, because pip has its own index or wheels and uv would ignore them."; installer="$(BIN)/python -m pip"; \
	else \
	  echo "Installing with uv."; installer="uv pip"; \
	fi; \
	VIRTUAL_ENV=$(CURDIR)/$(VENV) PIP_DISABLE_PIP_VERSION_CHECK=1 $$installer install --quiet -c constraints.txt -e '.[dev]'
	@touch $@

clean-venv:
	rm -rf $(VENV)
