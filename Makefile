# Two commands matter: `make table1` does the main job, `make test` tests.
# PRESET, SEEDS, DEVICE, DATA, TEST_DATA, JOINTS, ALSO, JOBS and PYTHON are variables:
# `make all PRESET=smoke SEEDS=0,1 DEVICE=cuda`.
PRESET ?= quick
SEEDS  ?= 0
DEVICE ?= auto
DATA   ?=
TEST_DATA ?=
JOINTS ?=
ALSO   ?=
# processes that train at once. auto: a GPU each, or up to four on a CPU, which share its cores: small networks gain
# little from a second thread, so two one-thread processes do about 1.2 times the work of one that has two
JOBS   ?= auto
PYTHON ?= python3
VENV   ?= .venv
BENCH   = $(VENV)/bin/bench
PLACE   = --preset $(PRESET) $(if $(DATA),--data $(DATA))
FLAGS   = $(PLACE) --device $(DEVICE)
TESTED  = $(if $(TEST_DATA),--test-data $(TEST_DATA)) $(if $(JOINTS),--joints $(JOINTS))
MANY    = $(FLAGS) --seeds $(SEEDS) $(TESTED)
CELLS   = $(MANY) --jobs $(JOBS)

.PHONY: bench table1 table2 table3 table4 tables figures report all sweep ablate data setup check test test-slow clean

table1: $(VENV)/.weights  ## train, score and print the paper's Table 1
	$(BENCH) table1 $(CELLS) $(if $(ALSO),--also $(ALSO))

table2: $(VENV)/.weights  ## Ours at 0, 1, 4 and 10 shots, without and with the multi-step loss
	$(BENCH) table2 $(CELLS)

table3: $(VENV)/.weights  ## time and memory of every method
	$(BENCH) time $(FLAGS)

table4: $(VENV)/.weights  ## Ours without its parts
	$(BENCH) table4 $(CELLS)

tables: table1 table2 table3 table4
	$(BENCH) claims $(PLACE) $(TESTED)

figures: $(VENV)/.weights  ## every figure whose cells are in the store
	$(BENCH) figures $(MANY)

report: $(VENV)/.weights  ## one HTML report of all that is there
	$(BENCH) report $(PLACE) $(TESTED)

all: tables figures report  ## everything, in that order

sweep: table2
ablate: table4

bench: $(VENV)/.weights  ## how fast everything is, as ratios
	$(BENCH) speed --preset $(PRESET) --device $(DEVICE)

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
