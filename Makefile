# What `make` alone prints is made from the ## comments below.
PYTHON ?=
VENV = .venv
BIN = $(VENV)/bin
PYTEST = $(BIN)/python -m pytest -n auto --maxprocesses 4
COMPILE = $(BIN)/python -P dev/uv.py pip compile --quiet --no-config --universal --python-version 3.11 --generate-hashes \
	--custom-compile-command "make lock" $(UPGRADE)

.DEFAULT_GOAL := help
.PHONY: help run status logs psql reset admin clients test test-quick check format bench chaos fuzz clean setup setup-run wheels client-tools \
	stage package deploy rollback health-check infrastructure certificates lock audit

help: ## print this help
	@sed -n 's/^\([a-z-]*\):.*## /\1 /p' Makefile | while read -r name text; do printf '  make %-12s %s\n' "$$name" "$$text"; done
	@echo "  PORT (8000), LOCAL_DIR (.local), PLATFORM_SANDBOX_URL and PYTHON can be set: PORT=8001 make run"

run: setup-run ## start the whole product on this machine, with a demo studio; Ctrl-C stops it
	@$(BIN)/python -m dev.stack

status: setup-run ## which parts of the running stack are up, since when, and each stream's last sync
	@$(BIN)/python -m dev.status

logs: setup-run ## follow the logs of the stack's parts: make logs PARTS="api worker-1" TAIL=50
	@$(BIN)/python -m dev.show_logs --lines "$(or $(TAIL),10)" $(PARTS)

psql: setup-run ## PostgreSQL's own prompt in the running stack: make psql ROLE=api (the demo studio's rows only) SQL="SELECT 1"
	@$(BIN)/python -m dev.psql --role "$(or $(ROLE),postgres)"

reset: setup-run ## delete the stack's local data; asks first, unless YES=1
	@$(BIN)/python -m dev.reset $(if $(YES),--yes)

admin: setup-run ## an operator's command against the running stack: make admin CMD="studio list"
	@$(BIN)/python -m dev.admin $(CMD)

clients: setup ## generate clients of the API in Python and, with Node.js, TypeScript: build/clients
	@$(BIN)/python -m dev.clients

test: setup wheels client-tools ## run every test
	@$(PYTEST) $(COVERAGE)

test-quick: setup ## run only the tests that start nothing: no PostgreSQL, no server, no package
	@$(PYTEST) --quick

check: setup wheels client-tools ## what CI runs: formatting, lint, types, import rules, tests, and how much of the product they execute
	@$(BIN)/ruff format --check --quiet . && echo "format: ok"
	@$(BIN)/ruff check --quiet . && echo "lint: ok"
	@$(BIN)/mypy --no-error-summary && echo "types: ok"
	@report=$$($(BIN)/lint-imports --no-cache) || { echo "$$report"; exit 1; } && echo "imports: ok"
	@$(MAKE) --no-print-directory test COVERAGE="--cov --cov-report=term --cov-fail-under=95"

format: setup ## format the code and fix what lint can fix
	@$(BIN)/ruff check --fix --quiet . ; $(BIN)/ruff format .

bench: setup ## measure what the README's figures come from
	@$(BIN)/python -m benchmarks

chaos: setup ## disturb the sync engine in every way and compare what it stored, row for row
	@$(BIN)/python -m chaos

fuzz: setup ## send requests that nobody would send: make fuzz EXAMPLES=500 SEED=1 (some 30 requests an example)
	@ANSEL_FUZZ_EXAMPLES=$(or $(EXAMPLES),500) $(BIN)/python -m pytest -q -rP --show-capture=stdout -p no:logging \
		--hypothesis-seed=$(or $(SEED),1) tests/api/test_fuzz.py tests/api/test_schemathesis.py | grep -v '^{"at"'

stage: setup ## add a stage to .chalice/config.json, with the functions and defaults of another: make stage STAGE=review LIKE=dev
	@$(BIN)/python -m deploy.stages --stage "$(STAGE)" --like "$(LIKE)"

package: setup ## build what is deployed: make package STAGE=prod ARCHITECTURE=arm64 (or x86_64) PYTHON=python3.13
	@$(BIN)/python -m deploy.package --stage "$(STAGE)" --architecture "$(or $(ARCHITECTURE),arm64)"

deploy: package ## package and deploy: make deploy STAGE=prod BUCKET=... PARAMETERS="prod.json Key=Value" ARGUMENTS=--dry-run
	@$(BIN)/python -m deploy.stack deploy --stage "$(STAGE)" --bucket "$(BUCKET)" \
		$(if $(PARAMETERS),--parameters $(PARAMETERS)) $(ARGUMENTS)

rollback: setup ## deploy a release once more: make rollback STAGE=prod BUCKET=... RELEASE=... (without RELEASE it lists them)
	@$(BIN)/python -m deploy.stack $(if $(RELEASE),deploy --release "$(RELEASE)",releases) \
		--stage "$(STAGE)" --bucket "$(BUCKET)" $(ARGUMENTS)

health-check: setup ## let Route 53 ask a stage from outside, with an alarm in us-east-1: make health-check STAGE=prod ARGUMENTS=--delete
	@$(BIN)/python -m deploy.health_check --stage "$(STAGE)" $(ARGUMENTS)

infrastructure: setup ## make what plain chalice deploy runs on: make infrastructure STAGE=dev BUCKET=... PARAMETERS="Key=Value"
	@$(BIN)/python -m deploy.infrastructure deploy --stage "$(STAGE)" --bucket "$(BUCKET)" \
		$(if $(PARAMETERS),--parameters $(PARAMETERS)) $(ARGUMENTS)

certificates: setup ## fetch the authorities of Amazon RDS, which the package needs: make certificates REGION=...
	@$(BIN)/python -m deploy.certificates $(if $(REGION),--region "$(REGION)")

lock: setup ## write requirements-dev.txt and requirements-run.txt, with hashes, and docs/licences.md; UPGRADE=--upgrade takes newer versions
	@$(COMPILE) requirements-dev.in --output-file requirements-dev.txt
	@$(COMPILE) --constraints requirements-dev.txt requirements-run.in --output-file requirements-run.txt
	@sh dev/venv.sh "$(VENV)" dev "$(PYTHON)" && $(BIN)/python -m deploy.licences

audit: setup ## look for known vulnerabilities: at a service, or offline in ADVISORIES=<folder or zip of OSV records>
	@$(BIN)/python -m deploy.audit $(if $(ADVISORIES),--advisories "$(ADVISORIES)")

clean: ## remove the virtual environment and every cache; keeps the local data
	@rm -rf $(VENV) .venv-setup.log .venv-setup.lock .cache .hypothesis .mypy_cache .ruff_cache .pytest_cache .import_linter_cache build

# What the tests of the package are built of, so that they need no network.
wheels: setup
	@$(BIN)/python -m deploy.wheels

# What the tests of the TypeScript client generate with, so that they need no network.
client-tools: setup
	@$(BIN)/python -m dev.clients --tools

setup:
	@sh dev/venv.sh "$(VENV)" dev "$(PYTHON)"

setup-run:
	@sh dev/venv.sh "$(VENV)" run "$(PYTHON)"
