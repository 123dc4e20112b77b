.DEFAULT_GOAL := help
.PHONY: help setup demo up green test chaos check fmt audit chart images containers e2e env events modelfile doctor clean

BIN := .venv/bin

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## install everything: programs, .venv with the locked dependencies, the command greenrun
	@scripts/setup.sh

demo: setup ## show it: a pipeline that is healed, and a second one from the template that was learned
	@$(BIN)/greenrun demo

up: setup ## start everything on this machine and keep it running
	@$(BIN)/greenrun up

images: setup ## build the images, print their sizes, write build/sbom
	@scripts/engine.sh
	@scripts/bases.sh python:3.11-slim-bookworm
	@$(BIN)/python -m scripts.images

green: setup ## generate, commit and really run the pipelines of real projects in containers; a table of what became of each
	@scripts/engine.sh
	@$(BIN)/python -m bench.green $(addprefix --only ,$(ONLY))

test: setup ## the whole test suite
	@scripts/test-tools.sh
	@$(BIN)/pytest

chaos: setup ## kill services and NATS at random; CHAOS_SEED and CHAOS_RUNS
	@$(BIN)/pytest -s -m chaos tests/chaos

check: setup ## ruff, formatting, mypy --strict
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

audit: setup ## known vulnerabilities in the locked dependencies; fails too where the database cannot be asked
	@scripts/audit.sh

fmt: setup ## format the code
	@$(BIN)/ruff check --fix-only --quiet .
	@$(BIN)/ruff format .

chart: setup ## lint and render the Helm chart, and hold its manifests to Kubernetes' schemas
	@scripts/chart-tools.sh
	@$(BIN)/python scripts/chart.py

containers: setup ## start everything in containers with the sandbox: greenrun demo --compose then shows it
	@scripts/engine.sh
	@scripts/bases.sh
	@$(BIN)/greenrun secrets init secrets --mounted --sandbox
	@test -e .env || cp deploy/sandbox.env .env
	@COMPOSE_BAKE=false docker compose up --build --wait

e2e: setup ## build all images, run the system in containers, kill, scale, upgrade; nothing may be lost
	@scripts/engine.sh
	@$(BIN)/pytest -m stack tests/compose --durations 10

env: setup ## write .env.example from the settings classes and compose.yaml
	@$(BIN)/python scripts/environment.py

events: setup ## write docs/events from the models: JSON Schemas and AsyncAPI
	@$(BIN)/python -m shared.asyncapi docs/events

modelfile: setup ## write ollama/Modelfile from the generator's prompt
	@$(BIN)/python scripts/modelfile.py

doctor: setup ## check every dependency
	@$(BIN)/greenrun doctor

clean: ## remove what setup and the tests made in this folder
	rm -rf .venv .tools .mypy_cache .ruff_cache .pytest_cache .hypothesis
