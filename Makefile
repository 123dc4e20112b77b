.DEFAULT_GOAL := help
.PHONY: help setup demo up green test check fmt doctor clean

BIN := .venv/bin

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## install everything: programs, .venv with the locked dependencies, the command greenrun
	@scripts/setup.sh

demo: setup ## show it: a pipeline that is healed, and a second one from the template that was learned
	@$(BIN)/greenrun demo

up: setup ## start everything on this machine and keep it running
	@$(BIN)/greenrun up

green: setup ## generate, commit and really run the pipelines of real projects in containers; a table of what became of each
	@scripts/engine.sh
	@$(BIN)/python -m bench.green $(addprefix --only ,$(ONLY))

test: setup ## the whole test suite
	@scripts/test-tools.sh
	@$(BIN)/pytest

check: setup ## ruff, formatting, mypy --strict
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

fmt: setup ## format the code
	@$(BIN)/ruff check --fix-only --quiet .
	@$(BIN)/ruff format .

modelfile: setup ## write ollama/Modelfile from the generator's prompt
	@$(BIN)/python scripts/modelfile.py

doctor: setup ## check every dependency
	@$(BIN)/greenrun doctor

clean: ## remove what setup and the tests made in this folder
	rm -rf .venv .tools .mypy_cache .ruff_cache .pytest_cache .hypothesis
