# What `make` alone prints is made from the ## comments below.
PYTHON =
VENV = .venv
BIN = $(VENV)/bin

.DEFAULT_GOAL := help
.PHONY: help run test check format bench prove clean setup

help: ## print this help
	@sed -n 's/^\([a-z]*\):.*## /\1 /p' Makefile | while read -r name text; do printf '  make %-8s %s\n' "$$name" "$$text"; done
	@echo "  PORT (8000), LOCAL_DIR (.local), PLATFORM_SANDBOX_URL and PYTHON can be set: PORT=8001 make run"

run: setup ## start the whole product on this machine, with a demo studio; Ctrl-C stops it
	@$(BIN)/python -m dev.stack

test: setup ## run every test
	@$(BIN)/python -m pytest -n auto --maxprocesses 4

check: setup ## what CI runs: formatting, lint, types, import rules, tests
	@$(BIN)/ruff format --check --quiet . && echo "format: ok"
	@$(BIN)/ruff check --quiet . && echo "lint: ok"
	@$(BIN)/mypy --no-error-summary && echo "types: ok"
	@report=$$($(BIN)/lint-imports --no-cache) || { echo "$$report"; exit 1; } && echo "imports: ok"
	@$(BIN)/python -m pytest -n auto --maxprocesses 4

format: setup ## format the code and fix what lint can fix
	@$(BIN)/ruff check --fix --quiet . ; $(BIN)/ruff format .

bench: setup ## measure what the README's figures come from
	@$(BIN)/python -m benchmarks

prove: setup ## disturb the sync engine in every way and compare what it stored, row for row
	@$(BIN)/python -m prove

clean: ## remove the virtual environment and every cache; keeps the local data
	@rm -rf $(VENV) .venv-setup.log .venv-setup.lock .cache .hypothesis .mypy_cache .ruff_cache .pytest_cache .import_linter_cache build

setup:
	@sh dev/venv.sh "$(VENV)" "$(PYTHON)"
