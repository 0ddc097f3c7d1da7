# Names for what people do; the work is in meson.build and tools/. `make help` lists them.
.PHONY: help build test demo bench lint fuzz install clean
.DEFAULT_GOAL := build

PREFIX ?= /usr/local
SHELL := /bin/bash
SECONDS ?= 120
SUITE ?=

help: ## this list
	@sed -n 's/^\([a-z]*\):.*## /  make \1	/p' Makefile | expand -t 18

build: ## install what is missing, build the library and build/sabot
	@tools/bootstrap build
	@tools/build

test: ## install what is missing, build, run every test; SUITE=name for one suite
	@tools/bootstrap test
	@. tools/env && tools/test $(SUITE)

install: build ## install library, headers and command under PREFIX (default /usr/local)
	@. tools/env && meson install -C build --quiet --no-rebuild --destdir "$(DESTDIR)"

clean: ## remove build directories (not the cache in ~/.cache/sabot)
	rm -rf build build-*
