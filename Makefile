# Two commands do everything on a fresh machine: `make demo` and `make test`.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
LOCK := deployments/locks/cpu.txt
STORE ?= demo-store
# Bytecode is made of what is imported, when it is imported first; where that is switched off, every start takes longer.
unexport PYTHONDONTWRITEBYTECODE
INSTALL := $(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-compile
# Where PyTorch's CPU builds are; if it cannot be reached, pip goes on with what its own configuration finds.
TORCH := --extra-index-url https://download.pytorch.org/whl/cpu --retries 1 --timeout 15
export DO_NOT_TRACK := 1

.PHONY: setup demo test browser test-service lint bench up down clean

setup: $(VENV)/ready

$(VENV)/ready: $(LOCK) pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(INSTALL) $(TORCH) $$(grep '^torch==' $(LOCK))
	$(INSTALL) --requirement $(LOCK)
	$(INSTALL) --no-build-isolation --editable .
	touch $@

demo: setup
	$(BIN)/fineinstructions run --profile deployments/sample/demo.toml --store $(STORE) \
		--queries deployments/sample/queries.jsonl --documents deployments/sample/documents.jsonl

# Two files of tests at a time, the longest early; more threads than cores would wait for each other.
test: setup
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses=2 --dist=loadfile --no-loadscope-reorder

# What the test of the UI needs beside Debian's chromium.
browser: setup
	$(INSTALL) --requirement deployments/locks/browser.txt

# Also the longest tests, and two thousand shards where `make test` takes forty.
test-service: browser
	FINEINSTRUCTIONS_SHARDS=$${FINEINSTRUCTIONS_SHARDS:-2000} $(BIN)/python -m pytest -m service tests/service

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: setup
	$(BIN)/python -m tests.benchmarks

# The URL may hold a password, which is nothing for a terminal or a list of processes.
ifdef DATABASE
export FINEINSTRUCTIONS_DATABASE := $(DATABASE)
endif

# `make up`, `make up UP="--store s3://bucket/store --documents s3://bucket/documents/*.jsonl"`, `make up DATABASE=postgresql+asyncpg://...`
up: setup
	$(BIN)/fineinstructions up $(UP)

down: setup
	$(BIN)/fineinstructions down

clean:
	rm -rf $(VENV) demo-store
