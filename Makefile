# Two commands on a fresh machine with python3 (3.11 or newer): make demo, make test.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
PIP = $(BIN)/python -m pip --disable-pip-version-check -q
# One thread per process: the processes are many enough, and numbers do not depend on it.
# Python keeps what it compiled, even where the machine says otherwise: every process of the tests would compile it again.
ONE = OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 PYTHONDONTWRITEBYTECODE=

.PHONY: demo test test-all lint clean

demo: $(VENV)/.demo
	$(BIN)/cohortium demo --out runs/demo

test: lint
	$(ONE) $(BIN)/python -m pytest -n 2 --dist worksteal -m "not thorough"

# Also further variants of the laws: longer than continuous integration may take.
test-all: lint
	$(ONE) $(BIN)/python -m pytest -n 2 --dist worksteal

lint: $(VENV)/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

clean:
	rm -rf $(VENV) build dist runs src/*.egg-info .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -prune -exec rm -rf {} +

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Cohortium needs Python 3.11 or newer; say which: make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.demo: pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) install -c constraints.txt -e '.[demo]'
	@touch $@

$(VENV)/.test: pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) install -c constraints.txt -e '.[test,demo,imaging,deep,secure,federated]'
	@touch $@
