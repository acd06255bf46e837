# Fallline. `make help` prints the targets. Needs python >= 3.11 and nothing else; everything that is
# installed, compiled or cached lives in .venv.

.DEFAULT_GOAL := help
.NOTPARALLEL:

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
CACHE := $(CURDIR)/$(VENV)/cache
CODE := app worker training fallline migrations tests benchmarks docs
# Test processes at once: a service takes its time to start, and leaves a core to others meanwhile.
JOBS ?= 2
TORCH := $(shell sed -n 's/^torch==//p' requirements.lock)

# Each of these tools would otherwise write to the home folder, to /tmp or beside the source.
export PIP_NO_CACHE_DIR := 1
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PYTHONPYCACHEPREFIX := $(CACHE)/python
# With a place for it, compiled code is kept, or every worker would compile PyTorch anew.
unexport PYTHONDONTWRITEBYTECODE
export MPLCONFIGDIR := $(CACHE)/matplotlib
export TORCHINDUCTOR_CACHE_DIR := $(CACHE)/inductor
export PYTEST_DEBUG_TEMPROOT := $(CURDIR)/$(VENV)/tmp
# pip asks rustc for its version, and a rustup that was never used answers by making a home for itself.
ifeq ($(wildcard $(HOME)/.rustup),)
export RUSTUP_HOME ?= $(CACHE)/rustup
endif

##@ Use

.PHONY: demo
demo: $(VENV)/.run ## Train, watch and ask a model, start to finish, over HTTP
	@exec $(BIN)/fallline demo $(ARGS)

.PHONY: run
run: $(VENV)/.run ## Start the whole service and stay; Ctrl-C stops all of it
	@exec $(BIN)/fallline up $(ARGS)

##@ Develop

.PHONY: test
test: $(VENV)/.dev ## Everything CI runs: format, lint, types, imports, tests
	$(BIN)/ruff format --check $(CODE)
	$(BIN)/ruff check $(CODE)
	$(BIN)/mypy $(CODE)
	$(BIN)/lint-imports --cache-dir $(CACHE)/imports --no-logo
	@mkdir -p $(PYTEST_DEBUG_TEMPROOT)
	$(BIN)/pytest --numprocesses $(JOBS) --dist loadgroup $(ARGS)

.PHONY: fuzz
fuzz: $(VENV)/.dev ## Try the HTTP contract with 10 000 requests that differ every time
	@mkdir -p $(PYTEST_DEBUG_TEMPROOT)
	$(BIN)/pytest tests/app/api/test_contract.py --numprocesses 0 --cases 10000 --first-seed $$(date +%s) \
	  --timeout 14400 -o faulthandler_timeout=18000 $(ARGS)

.PHONY: faults
faults: $(VENV)/.dev ## Bring about what may go wrong, on real processes: SEED=n, F="F1 F8", DATABASE=sqlite
	@mkdir -p $(PYTEST_DEBUG_TEMPROOT)
	@$(BIN)/python -m tests.faults $(if $(SEED),--seed $(SEED)) $(if $(DATABASE),--database $(DATABASE)) $(F)
	$(if $(F),,@$(BIN)/pytest tests/faults/bite.py)

.PHONY: format
format: $(VENV)/.dev ## Format the code and mend what the linter can
	$(BIN)/ruff check --fix-only $(CODE)
	$(BIN)/ruff format $(CODE)

.PHONY: bench
bench: $(VENV)/.dev ## Measure the goals of speed side by side: F="P7 P9", ROUNDS=n
	@$(BIN)/python -m benchmarks $(F)

.PHONY: bench-gpu
bench-gpu: $(VENV)/.dev ## The same of those that need a GPU
	@$(BIN)/python -m benchmarks $(or $(F),G)

.PHONY: bench-peers
bench-peers: $(VENV)/.peers ## Install what they are measured against

.PHONY: install
install: $(VENV)/.dev ## Install all of it, run nothing

.PHONY: clean
clean: ## Remove caches and temporary files; what is installed stays
	rm -rf $(CACHE) $(VENV)/tmp
	find $(CODE) -name __pycache__ -type d -prune -exec rm -rf {} +

.PHONY: help
help: ## Print this
	@awk 'BEGIN { FS = ":.*## " } \
	  /^##@/ { printf "\n%s\n", substr($$0, 5) } \
	  /^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# ------------------------------------------------------------------------------ the environment
# A stamp says that a step ended well, so an interrupted installation starts again where it must and
# a finished one costs nothing.

$(VENV)/.made:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and \
	  "Fallline needs Python 3.11 or newer, and this is " + sys.version.split()[0] + \
	  ": try make PYTHON=python3.12")'
	$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/.run: $(VENV)/.made requirements.lock pyproject.toml
	@echo "Installing Fallline into $(VENV): once, mostly PyTorch."
	$(BIN)/python -m pip install torch==$(TORCH)
	$(BIN)/python -m pip install --quiet -r requirements.lock
	$(BIN)/python -m pip install --quiet --no-build-isolation --no-deps -e .
	@touch $@

$(VENV)/.dev: $(VENV)/.run requirements-dev.lock
	$(BIN)/python -m pip install --quiet -r requirements-dev.lock
	@touch $@

$(VENV)/.peers: $(VENV)/.made benchmarks/peers/requirements.txt
	@echo "Installing MLflow, Ray and LitServe into $(VENV)/peers, with a PyTorch of their own."
	$(PYTHON) -m venv $(VENV)/peers
	$(VENV)/peers/bin/python -m pip install torch==$(TORCH)
	$(VENV)/peers/bin/python -m pip install --quiet -r benchmarks/peers/requirements.txt
	@touch $@
