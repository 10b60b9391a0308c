# `make` lists the targets. Without make (Windows), README gives the plain commands.
VENV ?= .venv
BIN := $(VENV)/bin
PYTHON ?= $(shell command -v python3.11 || command -v python3)
READY := $(VENV)/.ready

.DEFAULT_GOAL := help
.PHONY: help setup run test lint check notebooks lab clean

help: ## list the targets
	@grep -E '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14

$(READY): requirements.txt pyproject.toml
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(None if (3, 11) <= v < (3, 14) else f"Python must be 3.11 to 3.13, got {v[0]}.{v[1]}. Install Python 3.11, or run: make PYTHON=/path/to/python3.11")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e ".[dev]"
	@touch $(READY)

setup: $(READY) ## make .venv with everything needed

run: $(READY) ## the main job on the embedded cohort, about fifteen minutes: executed notebooks and a report
	$(BIN)/python -m workflow run

test: $(READY) ## lint, types, and all tests with one whole run of the notebooks
	$(MAKE) --no-print-directory lint
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

lint: $(READY) ## ruff, pyright and the rules of the notebooks
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright
	$(BIN)/python -m workflow check

lab: $(READY) ## open the notebooks in JupyterLab
	JUPYTER_PREFER_ENV_PATH=1 TF_CPP_MIN_LOG_LEVEL=2 $(BIN)/jupyter lab notebooks

notebooks: $(READY) ## write the parameters cells from workflow/parameters.py, and strip outputs
	$(BIN)/python -m workflow sync
	$(BIN)/nbstripout --keep-id --extra-keys "metadata.papermill cell.metadata.papermill cell.metadata.execution" notebooks/*.ipynb notebooks/labs/*.ipynb

clean: ## delete the environment and caches; runs/ is kept
	rm -rf $(VENV) *.egg-info build .pytest_cache .ruff_cache
