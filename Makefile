# make demo         the whole way on a synthetic phantom (makes an environment if need be)
# make test         all tests, with coverage
# make test-slicer  tests of the 3D Slicer code on Slicer's own libraries, each version in an environment of its own
# make lint         format, style and types
# make wheel        the package to install elsewhere, in dist/

PYTHON ?= python3
VENV ?= .venv
DEMO ?= demo

BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check

# The stable version and the newest; slicer-core pins vtk, so each has its own environment.
SLICER_CORES ?= 5.12.4.0 5.13.31053.0

.PHONY: demo test test-slicer lint wheel clean

demo: $(VENV)/.installed
	$(BIN)/monai-sagan demo --output $(DEMO)

test: $(VENV)/.installed-dev
	$(BIN)/python -m pytest --cov --cov-report=term --durations=10

test-slicer: $(SLICER_CORES:%=test-slicer-%)

test-slicer-%: $(VENV)-slicer-%/.installed
	$(VENV)-slicer-$*/bin/python -m pytest -c tests/slicer/pytest.ini tests/slicer

lint: $(VENV)/.installed-dev
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy

wheel: $(VENV)/.installed-dev
	$(BIN)/python -m build --wheel

clean:
	rm -rf $(VENV) $(VENV)-slicer-* build dist *.egg-info

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(PIP) install --quiet --constraint constraints.txt --editable .
	touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	$(PIP) install --quiet --constraint constraints.txt --editable .[dev]
	touch $@

.PRECIOUS: $(VENV)-slicer-%/.installed
$(VENV)-slicer-%/.installed: tests/slicer/requirements.txt
	$(PYTHON) -m venv $(@D)
	$(@D)/bin/python -m pip --disable-pip-version-check install --quiet slicer-core==$* --requirement $<
	touch $@
