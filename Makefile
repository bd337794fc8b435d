# make demo         the whole way on a synthetic phantom (makes an environment if need be)
# make test         all tests, with coverage
# make test-slicer  tests of the 3D Slicer code on Slicer's own libraries, each version in an environment of its own
# make test-viewer  tests of the viewer in a browser, in an environment of its own; needs Chromium
# make screenshots  the pictures of Slicer module and viewer in docs/images, from runs on the sample volume
# make benchmark    speed beside the published procedure, to benchmarks/results and docs/results/speed.md; DEVICE=cuda:0
# make reference    the list of public classes and functions, docs/reference/python.md
# make lint         format, style and types
# make wheel        the package to install elsewhere, in dist/

PYTHON ?= python3
VENV ?= .venv
DEMO ?= demo
DEVICE ?= cpu

BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check

# The stable version and the newest; slicer-core pins vtk, so each has its own environment.
SLICER_CORES ?= 5.12.4.0 5.13.31053.0

# Threads of torch that wait for each other make way for other programs, as in the command itself.
export GOMP_SPINCOUNT ?= 3000

.PHONY: demo test test-slicer test-viewer screenshots screenshots-slicer screenshots-viewer benchmark reference lint wheel clean

demo: $(VENV)/.installed
	$(BIN)/monai-sagan demo --output $(DEMO)

test: $(VENV)/.installed-dev
	$(BIN)/python -m pytest --cov --cov-report=term --durations=10

test-slicer: $(SLICER_CORES:%=test-slicer-%)

test-slicer-%: $(VENV)-slicer-%/.installed
	$(VENV)-slicer-$*/bin/python -m pytest -c tests/slicer/pytest.ini tests/slicer

test-viewer: $(VENV)/.installed $(VENV)-viewer/.installed
	MONAI_SAGAN_PYTHON=$(BIN)/python $(VENV)-viewer/bin/python -m pytest -c tests/viewer/pytest.ini tests/viewer

screenshots: screenshots-slicer screenshots-viewer

screenshots-viewer: $(VENV)/.installed $(VENV)-viewer/.installed
	$(VENV)-viewer/bin/python tests/viewer/make_screenshot.py $(BIN)/python docs/images/viewer.png

SLICER_NEWEST := $(VENV)-slicer-$(lastword $(SLICER_CORES))

screenshots-slicer: $(VENV)/.installed $(SLICER_NEWEST)/.installed
	$(SLICER_NEWEST)/bin/python slicer_extension/screenshots.py --python $(VENV) --output docs/images

benchmark: $(VENV)/.installed
	$(BIN)/python benchmarks/run.py --device $(DEVICE)

reference: $(VENV)/.installed
	$(BIN)/python docs/reference/python.py

lint: $(VENV)/.installed-dev
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy

wheel: $(VENV)/.installed-dev
	$(BIN)/python -m build --wheel

clean:
	rm -rf $(VENV) $(VENV)-slicer-* $(VENV)-viewer build dist *.egg-info

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

$(VENV)-viewer/.installed: tests/viewer/requirements.txt
	$(PYTHON) -m venv $(@D)
	$(@D)/bin/python -m pip --disable-pip-version-check install --quiet --requirement $<
	$(@D)/bin/python -m pip --disable-pip-version-check install --quiet --no-deps slicer-layer-dm==2.0.0
	touch $@
