# `make run` on a fresh clone ends in a running server. Every step of the set-up is a file that
# later steps depend on, so it happens once. `make help` lists the targets.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

VENV := .venv
BIN := $(VENV)/bin
PYTHON ?=
WHISPER_MODEL ?= base
PERF ?= ensemble
PYTEST ?=
# Much of the tests waits for what happens in real time, so two processes take half as long as one.
# Each has a server of its own. `-n 0` behind it undoes it.
IN_TWO = --numprocesses 2 --dist loadfile --no-loadscope-reorder
export PYTHON WHISPER_MODEL

PIP_INSTALL = $(BIN)/python -m pip install --disable-pip-version-check --no-deps --only-binary=:all: --require-hashes
WEIGHTS = build/output/weights/$(subst /,--,$(WHISPER_MODEL)).stamp
COMPILE = $(BIN)/uv pip compile --quiet --universal --generate-hashes --index-url https://pypi.org/simple --no-emit-index-url --custom-compile-command "make lock"
LOCK = $(COMPILE) --python-version 3.11 pyproject.toml --extra triton --extra microphone
# One of a container image, which has Python 3.12.
IMAGE_LOCK = $(COMPILE) --python-version 3.12

.PHONY: run
run: $(VENV)/runtime.stamp $(WEIGHTS) ## set up what is missing, start the server, prove it, keep serving
	@exec $(BIN)/python scripts/serve.py

.PHONY: demo
demo: $(VENV)/runtime.stamp $(WEIGHTS) ## the same, but end after the proof
	@exec $(BIN)/python scripts/serve.py --demo

.PHONY: test
test: $(VENV)/dev.stamp $(WEIGHTS) ## run the tests
	@build/install_chromium.sh
	@build/install_prometheus.sh
	$(BIN)/python -m pytest $(IN_TWO) $(PYTEST)

.PHONY: bench
bench: $(VENV)/dev.stamp $(WEIGHTS) ## measure rising numbers of streams, into docs/benchmarks.md
	@exec $(BIN)/python -m scripts.load.bench $(BENCH)

.PHONY: levers
levers: $(VENV)/dev.stamp $(WEIGHTS) ## measure what each lever is worth, into docs/benchmarks.md
	@exec $(BIN)/python -m scripts.load.levers $(BENCH)

.PHONY: perf
perf: $(VENV)/dev.stamp ## measure a Triton that runs with perf_analyzer (PERF="whisper --help" for more)
	@$(BIN)/python build/fetch_perf_analyzer.py
	@exec $(BIN)/python scripts/perf_analyzer.py $(PERF)

.PHONY: check
check: $(VENV)/dev.stamp ## linters and type checkers
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/pyright
	$(BIN)/lint-imports --cache-dir .import_linter_cache
	$(BIN)/hadolint build/*.Dockerfile
	$(BIN)/docker-compose config --quiet

.PHONY: format
format: $(VENV)/dev.stamp ## rewrite the sources as `make check` wants them
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

.PHONY: setup
setup: $(VENV)/dev.stamp $(WEIGHTS) ## the virtual environment, all tools and the weights

.PHONY: lock
lock: $(VENV)/dev.stamp ## write requirements/ anew from pyproject.toml
	$(LOCK) --upgrade -o requirements/runtime.txt
	$(LOCK) --upgrade --group dev --constraint requirements/runtime.txt -o requirements/dev.txt
	$(IMAGE_LOCK) --upgrade --group gateway --constraint requirements/dev.txt -o requirements/gateway.txt
	$(IMAGE_LOCK) --upgrade --group self-check --constraint requirements/dev.txt -o requirements/self-check.txt
	$(IMAGE_LOCK) --upgrade --group stages --constraint requirements/runtime.txt --no-emit-package numpy -o requirements/stages.txt
	$(IMAGE_LOCK) --upgrade --group engine --override requirements/engine-overrides.txt --no-emit-package numpy --no-emit-package openai-whisper -o requirements/engine.txt

.PHONY: clean
clean: ## remove everything that make has made, the weights included
	rm -rf $(VENV) build/output .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

.PHONY: help
help: ## list the targets
	@grep -hE '^[a-z]+:.* ## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.* ## /  make \1\t/' | expand -t 16
	@echo "Settings: PYTHON (which interpreter), WHISPER_MODEL (base, a hub name, or a local folder)"

$(VENV)/python.stamp: build/make_venv.sh
	build/make_venv.sh $(VENV)
	touch $@

$(VENV)/runtime.stamp: requirements/runtime.txt $(VENV)/python.stamp
	$(PIP_INSTALL) -r $<
	touch $@

$(VENV)/dev.stamp: requirements/dev.txt $(VENV)/runtime.stamp
	$(PIP_INSTALL) -r $<
	touch $@

$(WEIGHTS): build/fetch_weights.py $(wildcard build/requirements-*.txt) | $(VENV)/runtime.stamp
	$(BIN)/python $<
	mkdir -p $(@D)
	touch $@
