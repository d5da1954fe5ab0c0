# Two commands matter: `make table1` does the main job, `make test` tests.
# PRESET, SEED, DEVICE and PYTHON are variables: `make table1 PRESET=smoke DEVICE=cuda`.
PRESET ?= quick
SEED   ?= 0
DEVICE ?= auto
PYTHON ?= python3
VENV   ?= .venv
BENCH   = $(VENV)/bin/bench
FLAGS   = --preset $(PRESET) --seed $(SEED) --device $(DEVICE)

.PHONY: table1 sweep ablate data setup check test test-slow clean

table1: $(VENV)/.weights  ## train, score and print the paper's Table 1
	$(BENCH) table1 $(FLAGS)

sweep: $(VENV)/.weights  ## Ours at 0, 1, 4 and 10 shots
	$(BENCH) sweep $(FLAGS)
	$(BENCH) sweep --msl $(FLAGS)

ablate: $(VENV)/.weights  ## Ours without its parts
	$(BENCH) ablate $(FLAGS)

data: $(VENV)/.installed  ## render the preset's characters
	$(BENCH) data make --preset $(PRESET)

setup: $(VENV)/.installed  ## the environment alone

# uv is five times faster where it is installed; pip does the same job
$(VENV)/.installed: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or newer is needed; name it with: make PYTHON=python3.12"; exit 2; }
	test -x $(VENV)/bin/python || $(PYTHON) -m venv $(VENV)
	if command -v uv >/dev/null 2>&1; \
	  then uv pip install --quiet --python $(VENV)/bin/python --editable '.[dev]'; \
	  else $(VENV)/bin/python -m pip install --quiet --editable '.[dev]'; fi
	touch $@

check: $(VENV)/.installed  ## lint, format, types, floors
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports

test: $(VENV)/.installed  ## the tests, in minutes
	$(VENV)/bin/pytest

test-slow: $(VENV)/.installed  ## the long tests too
	$(VENV)/bin/pytest -m 'slow or not slow'

# what cannot be had is said here once, again by the run that lacks it, and stamped into its record
$(VENV)/.weights: $(VENV)/.installed
	$(BENCH) weights fetch || true
	touch $@

clean:  ## environment and store; results/ stays
	rm -rf $(VENV) .store
