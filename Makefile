# Every target sets up the machine, then runs a command. `#:` begins a group of `make help`.
ENV ?= local
PYTHON ?= python3
READY = @$(PYTHON) -m tools.setup
VENV = .venv/bin
WORDS = ENV CMD IDS VOLUMES INSTANCE FILE PLACEMENT NAME SCOPES OWNER EXPIRES LIMITS ROTATE REVOKE LIST SECRETS YES JSON FOLLOW KEEP_VOLUMES
NAMED := $(foreach word,$(WORDS),$(if $(filter-out undefined,$(origin $(word))),$(word)))
GIVEN := $(foreach word,$(WORDS),$(if $(findstring command,$(origin $(word))),$(word)))
# Without this, make would expand a `$$` in a value: in `make ssh CMD='echo $$HOME'`, HOME is the pod's.
$(foreach word,$(GIVEN),$(eval override $(word) := $$(value $(word))))
export $(NAMED)
# break-glass needs no engine, so it does not wait for a build when the Python packages are installed.
KEY_ALONE = @{ test -x $(VENV)/python || $(PYTHON) -m tools.setup; } && $(VENV)/python -m stacks.cli
RUN = $(READY) && $(VENV)/python -m stacks.cli
OF = --env="$$ENV"
option = --$(shell printf %s $(1) | tr A-Z_ a-z-)="$$$(1)"
# Variables that are set, including empty ones, which the command refuses.
said = $(foreach word,$(filter $(1),$(NAMED)),$(call option,$(word)))
# Variables on make's command line only, because some systems set NAME in the environment.
given = $(foreach word,$(filter $(1),$(GIVEN)),$(call option,$(word)))
# One process runs all tests of a file, because they share expensive fixtures.
SPREAD = -n auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder
# The folders of unit tests that start no gateway, no pod and no emulator runtime.
FAST = $(addprefix tests/unit/,components policies repository stacks tools)
TESTED = $(READY) && $(PYTHON) -m tools.system_packages

.DEFAULT_GOAL := help
.PHONY: help setup up preview pause resume destroy output key pods placement doctor sweep break-glass logs ssh backup restore env init lock stop-emulator test test-fast test-slow test-nightly bench check fix

help:           ## show this list
	@awk -F ':.*## ' '/^#: /{print "\n" substr($$0, 4)} /^[a-z-]+:.*## /{gsub("[$$][$$]", "$$", $$2); printf "  make %-14s %s\n", $$1, $$2}' Makefile

#: Every command takes ENV=local (the default), dev, staging or prod. Everyday commands:
up:             ## create or update ENV, after a preview and the policies; PLACEMENT=file uses a saved plan
	$(RUN) up $(OF) $(call said,PLACEMENT YES)
preview:        ## show what `up` would change and what it would cost; needs no account
	$(RUN) preview $(OF)
pause:          ## delete ENV's pod and keep its volume; shows what that saves and what is still billed
	$(RUN) pause $(OF) $(call said,YES)
resume:         ## rent a new pod for a paused ENV, as `up` does
	$(RUN) resume $(OF) $(call said,YES)
destroy:        ## delete everything in ENV and verify that nothing is still billed
	$(RUN) destroy $(OF) $(call said,YES)

#: Inspect:
output:         ## print the stack's outputs as one JSON object, secrets masked
	$(RUN) output $(OF)
pods:           ## list the account's pods and volumes with their prices, as a JSON array
	$(RUN) pods $(OF)
doctor:         ## find problems in ENV, their cost, and the command that helps; JSON=1 prints JSON
	$(RUN) doctor $(OF) $(call said,JSON)
placement:      ## show which GPU would be rented where, at what price; FILE=plan.json saves the plan
	$(RUN) placement $(OF) $(call said,FILE)
logs:           ## print the pod's log; FOLLOW=1 keeps following it
	$(RUN) logs $(OF) $(call said,FOLLOW)
ssh:            ## open a shell on the pod; CMD="id" runs one command instead
	$(RUN) ssh $(OF) $(call said,CMD)

#: Keys and data:
key:            ## print the client key, or LIST=1, NAME=bot [SCOPES= OWNER= EXPIRES= LIMITS=], ROTATE=id, REVOKE=id
	$(RUN) key $(OF) $(call given,NAME SCOPES OWNER EXPIRES LIMITS ROTATE REVOKE LIST)
backup:         ## copy the gateway's database to a new file, FILE=gateway.backup; the gateway stays up
	$(RUN) backup $(OF) $(call said,FILE)
restore:        ## replace the gateway's database with FILE, YES=1; the gateway is down for a few seconds
	$(RUN) restore $(OF) $(call said,FILE YES)

#: Emergencies:
sweep:          ## list orphaned pods; YES=1 deletes them, IDS="a b" and VOLUMES="c" name others
	$(RUN) sweep $(OF) $(call said,IDS VOLUMES YES)
break-glass:    ## delete ENV with RUNPOD_API_KEY alone, without state; YES=1 [INSTANCE=id KEEP_VOLUMES=1]
	$(KEY_ALONE) break-glass $(OF) $(call said,INSTANCE KEEP_VOLUMES YES)

#: Prepare:
setup:          ## install the Python packages, the Pulumi engine and its plugins
	$(READY) --retry
init:           ## prepare an environment on a real account; SECRETS=awskms://... instead of a passphrase
	$(RUN) init $(OF) $(call given,SECRETS)
lock:           ## write the hashes and commits resolved on the pod to the lock file
	$(RUN) lock $(OF)
env:            ## print settings for plain pulumi: eval "$$(make -s env ENV=dev)"
	$(RUN) env $(OF)
stop-emulator:  ## stop the local RunPod stand-in
	$(RUN) stop-emulator $(OF)

#: Develop (ARGS= is passed to pytest):
test-fast:      ## unit tests that start no gateway and no pod; under a minute
	$(READY) && $(VENV)/python -m pytest $(SPREAD) -m "not live and not nightly and not slow" $(FAST) $(ARGS)
test:           ## unit, contract, integration and end-to-end tests; run them before every commit
	$(TESTED) && $(VENV)/python -m pytest $(SPREAD) -m "not live and not nightly and not slow" $(ARGS)
test-slow:      ## kill loops, races, floods, client SDKs and browsers, some rounds of each
	$(TESTED) && $(VENV)/python -m pytest $(SPREAD) -m "slow and not live and not nightly" $(ARGS)
test-nightly:   ## many rounds of the same tests
	$(TESTED) && $(VENV)/python -m pytest -m "nightly and not live" $(ARGS)
bench:          ## compare jobs and requests of the gateway with ComfyUI alone, nginx and comfy-api-proxy; ARGS= selects parts
	$(READY) && $(PYTHON) -m tools.system_packages nginx && $(VENV)/python -m tests.bench.gateway $(ARGS)
check:          ## ruff, mypy, import contracts, word list
	$(READY) && $(VENV)/ruff check && $(VENV)/ruff format --check && $(VENV)/mypy && $(VENV)/lint-imports && $(PYTHON) -m tools.word_list
fix:            ## apply ruff's fixes, format, and generate docs/settings.md
	$(READY) && $(VENV)/ruff check --fix && $(VENV)/ruff format && $(VENV)/python -m stacks.settings_page docs/settings.md
