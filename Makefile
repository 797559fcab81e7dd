# Two commands do all set-up: `make demo` and `make test`. Both need Python >= 3.11 and a Rust toolchain, nothing else.
# What was done is remembered by stamps inside .venv, so a second run starts at once and removing .venv forgets everything.

PYTHON ?= python3
VENV   := .venv
BIN    := $(CURDIR)/$(VENV)/bin
PY     := $(BIN)/python
STAMP  := $(VENV)/.stamp

# One target directory for maturin, cargo test and clippy; one interpreter for PyO3, or its crates rebuild at every turn.
export CARGO_TARGET_DIR ?= $(CURDIR)/target
export PYO3_PYTHON      := $(PY)
export VIRTUAL_ENV      := $(CURDIR)/$(VENV)
export PIP_DISABLE_PIP_VERSION_CHECK := 1

PIP      := $(PY) -m pip install --quiet
RUST     := Cargo.toml Cargo.lock .cargo/config.toml $(shell find rust_core -path rust_core/fuzz -prune -o -name '*.rs' -print -o -name Cargo.toml -print)
WORKERS  ?= 2
PYTEST_ARGS ?=
BENCH_ARGS  ?= examples/digits/digits.onnx --against onnxruntime

ASV         := $(BIN)/asv --config asv_bench/asv.conf.json
BENCH_CHECK ?= ^(?!.*(full|Peers)|(operators|models|package).*nstructions)(operators.Run.*engine|operators.*(Conv: small|Softmax: sc)|models.(Run.time|Digits|.*engine)|inst|pack)
BENCH       ?= .
FACTOR      ?= 1.1

.DEFAULT_GOAL := help
.PHONY: help demo test test-rust test-python test-mutants test-sanitized test-site lint format quick bench bench-check \
        bench-compare bench-site docs wheel sdist clean

help: ## Show the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

demo: $(STAMP)-engine ## Build, then classify held-out digits on both panels
	$(PY) examples/digits/demo.py

test: test-rust test-python ## Run the Rust tests, then the Python tests

test-rust:
	cargo test --release --workspace --exclude diptych-bindings

test-python: $(STAMP)-engine $(STAMP)-test
	$(PY) -m pytest -n $(WORKERS) $(PYTEST_ARGS)

test-mutants: $(STAMP)-engine $(STAMP)-test ## Build the engine with planted bugs and see each of them caught
	env -u CARGO_TARGET_DIR CARGO_PROFILE_RELEASE_OPT_LEVEL=1 $(PY) -m pytest -m mutants tests/differential/test_mutants.py

test-sanitized: ## Run the kernels' tests under AddressSanitizer, on every instruction set
	RUSTC_BOOTSTRAP=1 RUSTFLAGS=-Zsanitizer=address CARGO_TARGET_DIR=$(CURDIR)/target/sanitized \
	    CARGO_PROFILE_RELEASE_OPT_LEVEL=1 CARGO_PROFILE_RELEASE_CODEGEN_UNITS=256 CARGO_PROFILE_RELEASE_DEBUG_ASSERTIONS=true \
	    cargo test --release --target $$(rustc -vV | sed -n 's/host: //p') -p diptych-kernels

test-site: docs $(STAMP)-site ## Open the site in Chromium: on a phone and a desktop, dark and light, the network off
	$(PY) -m pytest -m site tests/docs/test_site.py

lint: $(STAMP)-engine $(STAMP)-lint $(STAMP)-test ## Check style, types, import contracts and Rust lints
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy --strict -p diptych -p diptych_reference
	$(BIN)/lint-imports --no-cache
	cargo fmt --all --check
	cargo fmt --manifest-path rust_core/fuzz/Cargo.toml --check
	cargo clippy --release --workspace --all-targets -- -D warnings

format: $(STAMP)-lint ## Rewrite Python and Rust files in the project's style
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	cargo fmt --all

quick: $(STAMP)-reference ## Build the engine for AVX-512 alone, hardly optimised: seconds a change, for work on operators
	CARGO_TARGET_DIR=$(CURDIR)/target/quick RUSTFLAGS='--cfg diptych_one_isa' CARGO_PROFILE_RELEASE_OPT_LEVEL=1 \
	    CARGO_PROFILE_RELEASE_INCREMENTAL=true CARGO_PROFILE_RELEASE_CODEGEN_UNITS=256 \
	    $(BIN)/maturin develop --release --extras reference
	@rm -f $(STAMP)-engine

bench: $(STAMP)-engine $(STAMP)-bench ## Time the engine beside its peers (BENCH_ARGS="model.onnx --against onnxruntime,openvino")
	$(PY) -m diptych bench $(BENCH_ARGS)

bench-compare: $(STAMP)-asv ## Measure two commits in turns; 1 after a regression (A=main B=HEAD BENCH=regex FACTOR=1.1)
	@test -n "$(A)" && test -n "$(B)" || { echo 'say which commits: make bench-compare A=main B=HEAD' >&2; exit 2; }
	$(ASV) machine --yes >/dev/null
	$(ASV) continuous --interleave-rounds --factor $(FACTOR) --bench '$(BENCH)' $(A) $(B)

bench-site: $(STAMP)-engine $(STAMP)-asv $(STAMP)-test ## Write pages of what asv measured, one an operator, into .build/speed
	$(PY) -m tools.speed site

bench-check: $(STAMP)-engine $(STAMP)-asv $(STAMP)-test ## Check that the benchmarks of asv_bench are sound: a choice of them, each once
	$(ASV) machine --yes >/dev/null
	$(ASV) check --environment existing:$(PY)
	$(ASV) run --environment existing:$(PY) --quick --show-stderr --bench '$(BENCH_CHECK)' \
	    --set-commit-hash $$(git rev-parse HEAD)

docs: $(STAMP)-engine $(STAMP)-test $(STAMP)-docs ## Build the site into docs/_build/html, with the network off if need be
	if test -d tools/pages; then $(PY) -m tools.pages; fi
	$(PY) -m sphinx -W --keep-going --quiet -b html docs docs/_build/html
	@echo "open docs/_build/html/index.html"

wheel: $(STAMP)-venv ## Build the wheels of both distributions into dist/
	$(BIN)/maturin build --release --out dist
	$(PY) -m pip wheel --quiet --no-deps --wheel-dir dist ./reference

sdist: $(STAMP)-venv ## Build the source distribution into dist/
	$(BIN)/maturin sdist --out dist

clean: ## Remove what the build made: .venv, target, dist, caches
	rm -rf $(VENV) target dist .pytest_cache .mypy_cache .ruff_cache .hypothesis python/diptych/_core*.so

$(STAMP)-venv: Makefile
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Diptych needs Python 3.11 or newer; set PYTHON=")'
	@command -v cargo >/dev/null || { echo "Diptych needs a Rust toolchain: https://rustup.rs" >&2; exit 1; }
	test -x $(PY) || $(PYTHON) -m venv $(VENV)
	$(PIP) 'maturin>=1.9.4,<2'
	@touch $@

$(STAMP)-reference: $(STAMP)-venv reference/pyproject.toml
	$(PIP) --editable ./reference
	@touch $@

$(STAMP)-engine: $(STAMP)-reference pyproject.toml $(RUST)
	$(BIN)/maturin develop --release --extras reference
	@touch $@

# The tools of one activity, at the versions that pyproject.toml's extra of the same name allows.
$(STAMP)-test $(STAMP)-lint $(STAMP)-bench $(STAMP)-asv $(STAMP)-docs $(STAMP)-site: $(STAMP)-%: $(STAMP)-reference pyproject.toml
	$(PY) -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["project"]["optional-dependencies"]["$*"], sep="\n")' \
	    > $(VENV)/requirements-$*.txt
	$(PIP) --requirement $(VENV)/requirements-$*.txt
	@touch $@
