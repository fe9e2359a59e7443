# Everything runs in .venv, made here from pyproject.toml and constraints.txt; a fresh machine needs Python 3.11+ and make.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
BASE := origin/main
# Of make real: how many prompts, and further options of bench peers.
PROMPTS ?= 8
PEERS ?=

.PHONY: help install demo test lossless real check lint types imports drift proto format bench clean

help: ## Show the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(INSTALLED): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade 'pip>=25.1'
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt --group dev -e .
	touch $(INSTALLED)

install: $(INSTALLED) ## Make the virtual environment

demo: $(INSTALLED) ## Run the main job: a large target, helped by a small drafter with another tokenizer
	$(BIN)/draftmesh demo

test: $(INSTALLED) ## Run the tests
	$(BIN)/python -m pytest -q -n 2 --dist worksteal

lossless: $(INSTALLED) ## Prove at full size that drafting leaves the target's law as it is
	DRAFTMESH_PROMPTS=200 DRAFTMESH_LAW_SAMPLES=1000 $(BIN)/python -m pytest -q -n 2 --dist worksteal tests/lossless/test_same_text.py \
		tests/lossless/test_keyed_law.py tests/lossless/test_keyed_law_exact.py tests/lossless/test_pair_law.py
	$(BIN)/python -m tests.lossless

real: $(INSTALLED) ## The lossless tests and bench peers on your models: make real TARGET=… DRAFTER=… [PROMPTS=8]
	@test -n "$(TARGET)" -a -n "$(DRAFTER)" || { echo "make real TARGET=<folder or hub name> DRAFTER=<the same>" >&2; exit 2; }
	DRAFTMESH_TARGET="$(TARGET)" DRAFTMESH_DRAFTER="$(DRAFTER)" DRAFTMESH_PROMPTS=$(PROMPTS) \
		$(BIN)/python -m pytest -q tests/lossless/test_same_text.py tests/lossless/test_pair_law.py
	$(BIN)/draftmesh bench peers --target "$(TARGET)" --drafter "$(DRAFTER)" --prompts $(PROMPTS) $(PEERS)

check: lint types imports drift ## Lint, types, import rules, generated code

lint: $(INSTALLED)
	$(BIN)/ruff format --check services tests
	$(BIN)/ruff check services tests
	$(BIN)/buf lint proto

types: $(INSTALLED)
	$(BIN)/mypy services/draftmesh tests

imports: $(INSTALLED)
	$(BIN)/lint-imports

drift: $(INSTALLED)
	$(BIN)/python -m pytest -q tests/contract/test_stub_drift.py
	@if git rev-parse --quiet --verify $(BASE) >/dev/null && git ls-tree -d $(BASE) proto | grep -q .; \
	then $(BIN)/buf breaking proto --against '.git#ref=$(BASE),subdir=proto'; \
	else echo "buf breaking: no $(BASE) with protos to compare against"; fi

proto: $(INSTALLED) ## Generate the gRPC stubs from proto/
	PATH=$(CURDIR)/$(BIN):$$PATH $(BIN)/python -m grpc_tools.protoc -Iproto --python_out=services --grpc_python_out=services \
		--mypy_out=services --mypy_grpc_out=services proto/draftmesh/v1/*.proto

format: $(INSTALLED) ## Format the code
	$(BIN)/ruff format services tests
	$(BIN)/ruff check --fix services tests

bench: $(INSTALLED) ## Measure every method on the demo models
	$(BIN)/draftmesh bench pair --json --drafter demo --drafter demo-unigram

clean: ## Remove everything that was made
	rm -rf $(VENV) .draftmesh .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache build dist
	find services tests -name __pycache__ -type d -prune -exec rm -rf {} +
