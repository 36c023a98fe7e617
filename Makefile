# Every target makes the virtual environment it needs. PYTHON, VENV and EXTRAS may be given.
PYTHON ?= python3
VENV   ?= .venv
EXTRAS ?= dev
BIN    := $(VENV)/bin
comma  := ,
READY  := $(VENV)/.installed-$(subst $(comma),-,$(EXTRAS))

.PHONY: help experiments figures report quick paper test fuzz faults endurance test-gpu test-kernels check bench regressions history asv asv-page gpu-bundle clean

help:  ## Show the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 16

$(READY): pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[$(EXTRAS)]'
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[peers]' || \
	  echo "The study of peers will skip its Python packages: '.[peers]' could not be installed"
	touch $@

experiments: $(READY)  ## Run every study at its default grid, then draw figures and report
	$(BIN)/gembench run all --grid default
	$(MAKE) --no-print-directory --jobs=2 figures report

figures: $(READY)
	$(BIN)/gembench figures

report: $(READY)
	$(BIN)/gembench report

quick: $(READY)  ## A look at everything in minutes, into results/quick.html
	$(BIN)/gembench run all --grid quick
	$(BIN)/gembench report --grid quick --output results/quick.html

paper: $(READY)  ## The same at the paper's sizes
	$(BIN)/gembench run all --grid paper
	$(BIN)/gembench figures --grid paper
	$(BIN)/gembench report --grid paper

test: $(READY)  ## Run the tests, one process a core
	$(BIN)/python -m pytest --numprocesses logical --maxprocesses 8 --dist loadfile --no-loadscope-reorder

fuzz: $(READY)  ## Damaged files to every reader: 100,000 cases, below half an hour
	$(BIN)/python tests/attacks/fuzz.py --cases 100000

faults: $(READY)  ## Runs killed, starved and set against each other: 50 trials, some minutes
	$(BIN)/python tests/attacks/faults.py

endurance: $(READY)  ## 500 micrographs in one run: memory, files and threads stay what they were
	$(BIN)/python tests/attacks/endurance.py

test-gpu: $(READY)  ## Run the tests that need a CUDA device (EXTRAS=dev,gpu)
	PYTEST_DISABLE_PLUGIN_AUTOLOAD=1 $(BIN)/python -m pytest -m gpu --durations=5 tests/engine/gpu

test-kernels: $(READY)  ## Run what `test` leaves out: GPU kernels of every size and precision on an emulated device, banded, 1 to 4 ranks
	$(BIN)/python -m pytest -m "exhaustive and not gpu" --durations=5 tests/engine tests/picking

check: $(READY)  ## Lint and type-check
	$(BIN)/ruff check gembench experiments tests
	$(BIN)/mypy

bench: $(READY)  ## Measure the current commit with airspeed velocity, into results/asv
	$(BIN)/python -m gembench.study.measure.regressions bench

regressions: $(READY)  ## Compare two commits: make regressions BASE=REV
	$(BIN)/python -m gembench.study.measure.regressions compare "$(BASE)"

history: $(READY)  ## Measure the commits that mark the engine's stages, into results/asv
	$(BIN)/python -m gembench.study.measure.regressions history

asv-page: $(READY)  ## airspeed velocity's own pages of results/asv, into .asv/html (they need the network)
	$(BIN)/python -m asv publish

asv: $(READY)  ## Check the benchmark suite and run every benchmark once
	$(BIN)/python -m asv check --python=same
	$(BIN)/python -m gembench.study.measure.regressions quick

gpu-bundle: $(READY)  ## One script for a machine with a GPU and no network: dist/gembench-gpu-bundle.py
	$(BIN)/python -m gembench.study.gpu.bundle dist/gembench-gpu-bundle.py

clean:  ## Remove the virtual environment and caches, never results
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .asv
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
