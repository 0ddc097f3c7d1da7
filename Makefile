# Names for what people do; the work is in meson.build and tools/. `make help` lists them.
.PHONY: help tonbo spill-long build test demo bench bench-state bench-state-large lint kill kill-long sim-long faults-long fuzz install clean
.DEFAULT_GOAL := build

PREFIX ?= /usr/local
SHELL := /bin/bash
SECONDS ?= 120
SUITE ?=
BENCH ?=
CYCLES ?= 200
ROUNDS ?= 1
LARGE_MB ?= 10000
TARGET ?=

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /  make \1	/p' Makefile | expand -t 18

build: ## install what is missing, build the library and build/sabot
	@tools/bootstrap build
	@tools/build

tonbo: ## the library of the experimental state backend tonbo (352 crates: minutes, once)
	@tools/bootstrap build
	@tools/build libsabot_tonbo.so

spill-long: ## a join with 4 GB of state in 512 MB (tests/spill; several minutes, 10 GB of disk)
	@tools/bootstrap test
	@tools/build && . tools/env && SABOT=build/sabot tests/spill/run --long

test: ## install what is missing, build, run every test; SUITE=name for one suite
	@tools/bootstrap test
	@. tools/env && tools/test $(SUITE)

demo: ## a SQL job over a live stream, for some seconds
	@tools/bootstrap build
	@tools/build sabot
	@build/sabot run --live --summary --output table demo/demo.sql

bench: ## medians of interleaved runs of every benchmark; BENCH=name for some
	@tools/bootstrap test
	@. tools/env && tools/bench $(BENCH)

bench-state: ## what state, timers, checkpoints and spilling cost, and Nexmark beside others, with targets, each row as it comes (16 to 25 min on a quiet machine); ROUNDS=3
	@tools/bootstrap test
	@. tools/env && failed=0; \
	tools/bench --rounds $(ROUNDS) state.kv time.timers checkpoint. engine.checkpoint_latency || failed=1; \
	tools/bench --rounds 1 state || failed=1; \
	$(MAKE) --no-print-directory bench-state-large || failed=1; exit $$failed

bench-state-large: ## a checkpoint of 10 GB and its restore (LARGE_MB); needs 15 GB of free memory and 25 GB on the disk of TMPDIR
	@. tools/env && SABOT_BENCH_STATE_MB=$(LARGE_MB) SABOT_BENCH_ROW_BYTES=128 tools/bench --rounds 1 checkpoint.snapshot_bench

lint: ## the rules that the compiler does not check
	@tools/lint

kill: ## kill -9 and restore, CYCLES times (default 200)
	@tools/bootstrap test
	@tools/build
	@. tools/env && tests/kill/run $(CYCLES)

kill-long: ## the same 10,000 times
	@$(MAKE) kill CYCLES=10000

sim-long: ## 100,000 seeds of whole jobs in the simulator, with crashes, rescales and unaligned checkpoints
	@tools/build tests/runtime.sim_test tests/engine.sim_test
	@for program in engine runtime; do \
	    for i in $$(seq 0 19); do echo $$program $$((i * 5000 + 1))-$$((i * 5000 + 5000)); done; done | \
	xargs -P "$$(nproc)" -n 2 sh -c 'SABOT_SIM_SEEDS=$$1 build/tests/$$0.sim_test && echo "$$0: $$1 passed" || exit 255'

faults-long: ## every point of the fault sweep (tests/faults), about 20,000
	@tools/bootstrap test
	@tools/build all tests/faults.sweep && . tools/env && SABOT_BUILD=build tests/faults/run --long

fuzz: ## every fuzz target for SECONDS (default 120)
	@tools/bootstrap test
	@. tools/env && tools/fuzz $(SECONDS) $(TARGET)

install: build ## install library, headers and command under PREFIX (default /usr/local)
	@. tools/env && if [ "$$(cat build/prefix 2>/dev/null || echo /usr/local)" != "$(abspath $(PREFIX))" ]; then \
	    meson configure build -Dprefix="$(abspath $(PREFIX))" && echo "$(abspath $(PREFIX))" >build/prefix; fi
	@. tools/env && meson install -C build --quiet --destdir "$(DESTDIR)"

clean: ## remove build directories (not the cache in ~/.cache/sabot)
	rm -rf build build-*
