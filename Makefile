# vls_steering: `make` shows what there is.  Nothing has to be installed by hand except Python, a C++ compiler and CMake.
SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help setup demo test long lint bench docs clean

VENV := .venv
BIN := $(VENV)/bin
LOG := $(VENV)/setup.log
STAMP := $(VENV)/.setup-stamp
# Variables that may be given on the command line: make demo ROBOT=sim ARGS="--scene obstacle --seed 7"
PYTHON ?=
ROBOT ?= sim
ARGS ?=
BENCH ?= quick
OUT ?= runs/bench-$(BENCH).json
# pytest's exit code where ARGS leaves nothing to run in one of the two halves.
NO_TESTS := 5

# What the environment is made from: when one of these changes, the next `make` brings the environment up to date.
# The Python modules are not among them, because they are used where they are.
SOURCES := constraints.txt pyproject.toml setup.py package.xml CMakeLists.txt requirements/ros-build.txt \
	requirements/assets.txt cmake/interface_targets.cmake tools/setup.sh tools/build_tf2_msgs.sh \
	$(wildcard msg/*.msg action/*.action requirements/tf2_msgs/*)

help: ## show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(STAMP) ## virtual environment with everything in it; does nothing when it is up to date

$(STAMP): $(SOURCES)
	@PYTHON="$(PYTHON)" tools/setup.sh $(VENV) $(LOG)
	@touch $@

demo: setup ## one instruction in a scene outside training, on the simulated arm; leaves runs/<stamp>/
	@$(BIN)/vls demo --headless --robot $(ROBOT) $(ARGS)

test: setup ## the tests: first, on all cores, those that mind no company; then real ROS 2 nodes, one test at a time
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto -m "not (ros or alone or long)" $(ARGS) || [ $$? -eq $(NO_TESTS) ]
	@$(BIN)/python -m pytest -m "(ros or alone) and not long" $(ARGS) || [ $$? -eq $(NO_TESTS) ]

long: setup ## the tests of a minute and more: faults, protocol arm, packages, colcon build; CI runs these, too
	@$(BIN)/python -m pytest -m long $(ARGS)

lint: setup ## ruff, mypy (strict in the pure rooms), and hadolint for the Dockerfile
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/hadolint docker/Dockerfile

bench: setup ## success rates: make bench BENCH=quick OUT=file.json ARGS="--episodes 20 --seed 1000"
	@mkdir -p $(dir $(OUT))
	@$(BIN)/vls bench $(BENCH) --out $(OUT) $(ARGS)

docs: setup ## make the figures of docs/ again
	@shopt -s nullglob; for script in docs/figures/*.py; do echo "$$script"; $(BIN)/python "$$script"; done

clean: ## remove builds, caches and the virtual environment; runs/ is kept
	@rm -rf $(VENV) build install log dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	@rm -rf vls_steering/msg vls_steering/action vls_steering/*.so
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
