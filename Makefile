# One command each; all of them set up .venv first where it is missing or its pins have changed.
#   make table2   the main results (results/table2.csv and .md)
#   make test     the test suite
#   make docs     the documentation as a site (site/index.html)
#   make setup    only the set-up
#   make restore  after `dvc pull` or `dvc checkout`: verify every artifact, let Snakemake know them (docs/dvc.md)

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
CORES ?= all

# Rules call `python`: the environment's, as if it were activated.
export PATH := $(CURDIR)/$(BIN):$(PATH)

.PHONY: table2 test setup restore lint docs clean-venv

table2: $(STAMP)
	$(BIN)/snakemake results/table2.csv --cores $(CORES)

test: $(STAMP)
	$(BIN)/python -m pytest

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

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "error: Python 3.11 or newer is needed; name one with: make PYTHON=python3.11 setup" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

clean-venv:
	rm -rf $(VENV)
