# Each target makes its own virtual environment in .venv: Python 3.10 to 3.13 and make are enough.
PYTHON ?= python3
BIN := .venv/bin
SETUP := setup.cfg setup.py pyproject.toml

# Quiet libraries; the same in every target.
export TF_CPP_MIN_LOG_LEVEL ?= 2
export PIP_DISABLE_PIP_VERSION_CHECK = 1

.PHONY: help demo test lint format bench torture gpu dali clean

help:
	@echo "make demo     generated competition -> data set -> training -> submission and report (6 minutes)"
	@echo "make test     lint, types and all tests"
	@echo "make lint     lint and types alone"
	@echo "make format   formats the code and mends what the linter can"
	@echo "make bench    speed and memory against peers and floors: one table (20 minutes)"
	@echo "make torture  kills at random moments, full disks, fuzzing (30 minutes at most)"
	@echo "make gpu      CUDA libraries and NVIDIA DALI into .venv"
	@echo "make dali     DALI without CUDA into .venv, and its tests on a machine without a GPU"
	@echo "make clean    removes .venv and build/"

demo: .venv/ok-run
	$(BIN)/python examples/demo.py

test: lint
	$(BIN)/python -m pytest -q

lint: .venv/ok-test
	$(BIN)/ruff check -q .
	$(BIN)/ruff format -q --check .
	$(BIN)/mypy

format: .venv/ok-test
	$(BIN)/ruff check -q --fix .
	$(BIN)/ruff format -q .

# A folder of real files: make bench INPUT_DIR=~/cdiscount
bench: .venv/ok-bench
	@mkdir -p build
	$(BIN)/python -m benchmarks.run --json=build/benchmarks.json $(if $(INPUT_DIR),--input_dir=$(INPUT_DIR))

torture: .venv/ok-test .venv/ok-fuzz
	$(BIN)/python -m pytest -q -m torture

# The plugin is compiled against the TensorFlow that it finds: without build isolation, and last.
gpu: .venv/ok-run
	$(BIN)/pip install -q setuptools wheel 'tensorflow[and-cuda]>=2.21,<2.22' 'nvidia-dali-cuda120>=2.4,<3'
	$(BIN)/pip install -q --no-build-isolation -e '.[gpu]'

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

# ok-test: the extra of that name on top.
.venv/ok-%: .venv/ok-run
	@echo "Installing what '$*' needs into .venv"
	@$(BIN)/pip install -q -e '.[$*]'
	@touch $@
