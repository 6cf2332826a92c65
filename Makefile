# `make test` and `make demo` each work as the first command in a fresh clone that has Python 3.11, g++ and make.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
# Wheels of cmake and ninja live in the environment; nothing is asked of the system.
export PATH := $(CURDIR)/$(BIN):$(PATH)
export OMP_NUM_THREADS ?= 2
export TOKENIZERS_PARALLELISM ?= false

CORE := build/core
SANITIZED := build/sanitize
SANITIZED_TESTS ?= tests/core $(patsubst %,tests/lark/test_%.py,dead_ends events indenter items items_after_lexemes lexemes memory)
DATA ?= maskbench-dev.tar.xz
SAMPLE ?= 200
WORKERS ?= auto
ENGINES ?= structgen,llguidance
CMAKE_FLAGS := -G Ninja -DPython_EXECUTABLE=$(CURDIR)/$(BIN)/python

.PHONY: setup build test demo lint man sanitize bench wheel wheel-test clean

setup: $(VENV)/.installed build

# The environment holds what the project needs and a path to this tree: an edit of Python code needs no
# installation, an edit of the core an incremental build.
$(VENV)/.installed: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python .ci/requirements.py dev > $(VENV)/requirements.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -r $(VENV)/requirements.txt
	echo '$(CURDIR)' > "$$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/structgen.pth"
	touch $@

$(CORE)/build.ninja: CMakeLists.txt $(VENV)/.installed
	cmake -S . -B $(CORE) $(CMAKE_FLAGS) -DSTRUCTGEN_OUTPUT_DIR=$(CURDIR)/structgen/_core
	touch $@

# Ninja knows what changed; without a change this takes milliseconds.
build: $(CORE)/build.ninja
	cmake --build $(CORE)

# One process for each core of the machine, each with its share of the threads; WORKERS=0 runs tests in one process.
test: build
	OMP_NUM_THREADS=1 $(BIN)/pytest -n $(WORKERS) --dist worksteal $(PYTEST_ARGS)

demo: build
	$(BIN)/python examples/demo/run.py

lint: build
	ruff check .
	ruff format --check .
	mypy
	$(BIN)/python -m mypy.stubtest structgen._core._native --mypy-config-file pyproject.toml \
		--allowlist .ci/stubtest-allowlist.txt

# From the help of the commands; a test says when they are out of date.
man: build
	PYTHONPATH=. $(BIN)/python docs/man_pages.py

# A copy of the package and of its tests around the instrumented module, so that the usual build stays as it is.
# Leaks are not reported: the interpreter keeps objects on purpose. Captured by file descriptor, reports would be lost.
sanitize: $(VENV)/.installed
	cmake -S . -B $(SANITIZED) $(CMAKE_FLAGS) -DCMAKE_BUILD_TYPE=Debug -DSTRUCTGEN_SANITIZE=ON \
		-DSTRUCTGEN_OUTPUT_DIR=$(CURDIR)/$(SANITIZED)/tree/structgen/_core
	cmake --build $(SANITIZED)
	rm -rf $(SANITIZED)/tree/tests
	tar -cf - --exclude='*.so' --exclude='__pycache__' pyproject.toml structgen grammars tests | tar -xf - -C $(SANITIZED)/tree
	cd $(SANITIZED)/tree && PYTHONPATH=. PYTHONMALLOC=malloc \
		LD_PRELOAD="$$(g++ -print-file-name=libasan.so) $$(g++ -print-file-name=libstdc++.so)" \
		ASAN_OPTIONS=detect_leaks=0:abort_on_error=1 UBSAN_OPTIONS=print_stacktrace=1 \
		$(CURDIR)/$(BIN)/pytest --capture=sys $(SANITIZED_TESTS) $(PYTEST_ARGS)

bench: build
	$(BIN)/python -m jsonschemabench masks --engines $(ENGINES) --data $(DATA) --sample $(SAMPLE)

# Minutes: dist/ gets the source distribution and a manylinux wheel for each of PYTHONS (docs/packaging.md).
wheel: $(VENV)/.installed
	.ci/wheels $(CURDIR)/dist $(PYTHONS)

# Minutes, and a download of torch: not part of `make test`. WHEEL=FILE tests one that is there, with the Python
# WHEEL_PYTHON.
wheel-test: $(VENV)/.installed
	.ci/wheel_test $(CURDIR)/build/wheel-test $(WHEEL) $(WHEEL_PYTHON)

clean:
	rm -rf build .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find structgen jsonschemabench tests -name '*.so' -delete -o -name '*.pyc' -delete
