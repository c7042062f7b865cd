# The targets create a virtual environment in .venv; they need only Python 3.10 to 3.13 and make.
PYTHON ?= python3
BIN := .venv/bin
# Many tests wait for a command or use one core.
TEST_PROCESSES ?= 2
SETUP := setup.cfg setup.py pyproject.toml

# Keep the libraries quiet in every target.
export TF_CPP_MIN_LOG_LEVEL ?= 2
export PIP_DISABLE_PIP_VERSION_CHECK = 1

.PHONY: help demo test lint format bench torture networks gpu gpu-check dali clean

help:
	@echo "make demo     run a generated competition, from data set to report (6 minutes)"
	@echo "make test     check lint and types, and run all tests"
	@echo "make lint     check lint and types only"
	@echo "make format   format the code and apply the linter's fixes"
	@echo "make bench    compare speed and memory with peers and floors in one table (20 minutes)"
	@echo "make torture  test random kills, cut files, full disks and fuzzed input (45 minutes)"
	@echo "make networks test every network of keras.applications (20 minutes)"
	@echo "make gpu      install CUDA libraries and NVIDIA DALI into .venv"
	@echo "make gpu-check test and measure training on a GPU (9 minutes; also runs without one)"
	@echo "make dali     install DALI without CUDA into .venv, and run its tests (needs no GPU)"
	@echo "make clean    remove .venv and build/"

demo: .venv/ok-pretrained .venv/ok-serve
	$(BIN)/python examples/demo.py

test: lint
	$(BIN)/python -m pytest -q -n $(TEST_PROCESSES) --dist loadfile

lint: .venv/ok-test
	$(BIN)/ruff check -q .
	$(BIN)/ruff format -q --check .
	$(BIN)/mypy

format: .venv/ok-test
	$(BIN)/ruff check -q --fix .
	$(BIN)/ruff format -q .

# To use a folder of real files: make bench INPUT_DIR=~/cdiscount
bench: .venv/ok-bench
	@mkdir -p build
	$(BIN)/python -m benchmarks.run --json=build/benchmarks.json $(if $(INPUT_DIR),--input_dir=$(INPUT_DIR))

torture: .venv/ok-test .venv/ok-fuzz
	$(BIN)/python -m pytest -q -m torture

networks: .venv/ok-test
	$(BIN)/python -m pytest -q -m networks

# pip compiles the plugin against the installed TensorFlow: last, and without build isolation.
gpu: .venv/ok-run
	$(BIN)/pip install -q setuptools wheel 'tensorflow[and-cuda]>=2.21,<2.22' 'nvidia-dali-cuda120>=2.4,<3'
	$(BIN)/pip install -q --no-build-isolation -e '.[gpu]'

# GPU_CHECK_FLAGS="--short" only shows that the command works; see docs/gpu.md.
gpu-check: .venv/ok-bench
	@if command -v nvidia-smi >/dev/null; then $(MAKE) --no-print-directory gpu; fi
	$(BIN)/python -m benchmarks.gpu --json=build/gpu.json $(GPU_CHECK_FLAGS)

dali: .venv/ok-test
	$(BIN)/pip install -q setuptools wheel 'nvidia-dali-cuda120>=2.4,<3'
	$(BIN)/pip install -q --no-build-isolation -e '.[dali]'
	$(BIN)/python -m pytest -q tests/trainer/data/test_dali_decoding.py tests/trainer/data/test_plain_jpeg.py

clean:
	rm -rf .venv build *.egg-info .pytest_cache .ruff_cache .mypy_cache .hypothesis

.venv/ok-run: $(SETUP)
	@echo "Installing into .venv (some minutes, once)"
	@$(PYTHON) -m venv .venv
	@$(BIN)/pip install -q -e .
	@touch $@

# For example, ok-test adds the extra `test`.
.venv/ok-%: .venv/ok-run
	@echo "Installing what '$*' needs into .venv"
	@$(BIN)/pip install -q -e '.[$*]'
	@touch $@
