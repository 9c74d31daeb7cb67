# Every target is one line: set the machine up, then run a command. Each takes ENV= (local dev staging prod).
ENV ?= local
PYTHON ?= python3
READY = @$(PYTHON) -m tools.setup
VENV = .venv/bin
WORDS = ENV CMD IDS VOLUMES INSTANCE FILE PLACEMENT NAME SCOPES OWNER EXPIRES LIMITS ROTATE REVOKE LIST SECRETS YES JSON FOLLOW KEEP_VOLUMES
NAMED := $(foreach word,$(WORDS),$(if $(filter-out undefined,$(origin $(word))),$(word)))
GIVEN := $(foreach word,$(WORDS),$(if $(findstring command,$(origin $(word))),$(word)))
# make would take a `$$` in such a text for a variable of its own; `make ssh CMD='echo $$HOME'` means the pod's HOME.
$(foreach word,$(GIVEN),$(eval override $(word) := $$(value $(word))))
export $(NAMED)
# The way out in need waits for no engine to be built, where the packages are already there.
KEY_ALONE = @{ test -x $(VENV)/python || $(PYTHON) -m tools.setup; } && $(VENV)/python -m stacks.cli
RUN = $(READY) && $(VENV)/python -m stacks.cli
OF = --env="$$ENV"
option = --$(shell printf %s $(1) | tr A-Z_ a-z-)="$$$(1)"
# What was named, also when it is empty: the command refuses an empty text, it does not take it for none.
said = $(foreach word,$(filter $(1),$(NAMED)),$(call option,$(word)))
# What stands on make's command line alone: some systems have a NAME of their own in the environment.
given = $(foreach word,$(filter $(1),$(GIVEN)),$(call option,$(word)))
# A file's tests share what is expensive, so one process runs them all.
SPREAD = -n auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder
TESTED = $(READY) && $(PYTHON) -m tools.system_packages

.DEFAULT_GOAL := help
.PHONY: help setup up preview pause resume destroy output key pods placement doctor sweep break-glass logs ssh backup restore env init lock stop-emulator test test-slow test-nightly bench check

help:           ## this list
	@grep -hE '^[a-z-]+:.*##' Makefile | sed -E 's/^([a-z-]+):.*## /make \1	/' | sed 's/[$$][$$]/$$/' | expand -t 22
setup:          ## make .venv, the engine and its plugins ready
	$(READY) --retry
up:             ## bring ENV up: preview, policies, update, summary; PLACEMENT=file uses a saved plan
	$(RUN) up $(OF) $(call said,PLACEMENT YES)
preview:        ## what `up` would change and cost; works without an account
	$(RUN) preview $(OF)
placement:      ## which GPU would be tried where, for how much, why not the others; FILE=plan.json saves it
	$(RUN) placement $(OF) $(call said,FILE)
pause:          ## end ENV's pod and keep its volume; says what that saves and what bills on
	$(RUN) pause $(OF) $(call said,YES)
resume:         ## bring a paused ENV back, as `up` does
	$(RUN) resume $(OF) $(call said,YES)
destroy:        ## end ENV and prove that nothing of it bills
	$(RUN) destroy $(OF) $(call said,YES)
output:         ## the stack's outputs, one JSON object, secrets masked
	$(RUN) output $(OF)
key:            ## the client key; LIST=1 shows all, NAME=bot [SCOPES= OWNER= EXPIRES=30d LIMITS=] issues, ROTATE=id, REVOKE=id
	$(RUN) key $(OF) $(call given,NAME SCOPES OWNER EXPIRES LIMITS ROTATE REVOKE LIST)
pods:           ## what the account really holds and bills, a JSON array
	$(RUN) pods $(OF)
doctor:         ## what is wrong with ENV, what that costs, which command helps; JSON=1 for machines
	$(RUN) doctor $(OF) $(call said,JSON)
sweep:          ## list pods that no state holds; YES=1 ends them, IDS="a b" and VOLUMES="c" also those named
	$(RUN) sweep $(OF) $(call said,IDS VOLUMES YES)
break-glass:    ## end ENV with only RUNPOD_API_KEY, no state; YES=1 acts, INSTANCE=id chooses, KEEP_VOLUMES=1
	$(KEY_ALONE) break-glass $(OF) $(call said,INSTANCE KEEP_VOLUMES YES)
logs:           ## the pod's log; FOLLOW=1 goes on with what comes
	$(RUN) logs $(OF) $(call said,FOLLOW)
ssh:            ## a shell on the pod; CMD="id" runs that instead
	$(RUN) ssh $(OF) $(call said,CMD)
backup:         ## the gateway's database to a new file, FILE=gateway.backup; the gateway serves meanwhile
	$(RUN) backup $(OF) $(call said,FILE)
restore:        ## put such a FILE in the database's place, YES=1; the gateway is away for some seconds
	$(RUN) restore $(OF) $(call said,FILE YES)
env:            ## settings for plain pulumi: eval "$$(make -s env ENV=dev)"
	$(RUN) env $(OF)
init:           ## prepare a real environment: passphrase (or SECRETS=awskms://...), RunPod key as secret
	$(RUN) init $(OF) $(call given,SECRETS)
lock:           ## record hashes and commits that the pod found out
	$(RUN) lock $(OF)
stop-emulator:  ## stop the local RunPod stand-in
	$(RUN) stop-emulator $(OF)
test:           ## unit, contract, integration and end-to-end tests: before every commit
	$(TESTED) && $(VENV)/python -m pytest $(SPREAD) -m "not live and not nightly and not slow" $(ARGS)
test-slow:      ## the proofs, some rounds of each: kills, races, floods, clients, browsers
	$(TESTED) && $(VENV)/python -m pytest $(SPREAD) -m "slow and not live and not nightly" $(ARGS)
test-nightly:   ## the long loops of the same proofs
	$(TESTED) && $(VENV)/python -m pytest -m "nightly and not live" $(ARGS)
bench:          ## what the gateway costs, as one table with ratios; ARGS="json saturation" measures these parts
	$(READY) && $(PYTHON) -m tools.system_packages nginx && $(VENV)/python -m tests.bench.gateway $(ARGS)
check:          ## lint, format, types, import directions
	$(READY) && $(VENV)/ruff check && $(VENV)/ruff format --check && $(VENV)/mypy && $(VENV)/lint-imports
