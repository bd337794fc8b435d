# make demo   the whole way on a synthetic phantom (makes an environment if need be)
# make test   all tests, with coverage
# make lint   format, style and types
# make wheel  the package to install elsewhere, in dist/

PYTHON ?= python3
VENV ?= .venv
DEMO ?= demo

BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check

.PHONY: demo test lint wheel clean

demo: $(VENV)/.installed
	$(BIN)/monai-sagan demo --output $(DEMO)

test: $(VENV)/.installed-dev
	$(BIN)/python -m pytest --cov --cov-report=term --durations=10

lint: $(VENV)/.installed-dev
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy

wheel: $(VENV)/.installed-dev
	$(BIN)/python -m build --wheel

clean:
	rm -rf $(VENV) build dist *.egg-info

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(PIP) install --quiet --constraint constraints.txt --editable .
	touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	$(PIP) install --quiet --constraint constraints.txt --editable .[dev]
	touch $@
