# Each target installs what it lacks first (scripts/setup: Debian and Ubuntu, asking on a terminal).

.DEFAULT_GOAL := help
.PHONY: help run test bench build

export PATH := $(PATH):$(HOME)/.cargo/bin

help: ## this list
	@sed -n 's/^\([a-z]*\):.*## /  make \1	/p' Makefile | expand -t 16

run: build ## build it and start a whole cluster on this machine to play with
	@exec target/release/perron demo

build: ## build the program: target/release/perron
	@scripts/setup build
	cargo build --release --package perron

test: ## everything that must hold
	@scripts/setup test
	@scripts/test

bench: ## beside HAProxy and nginx: processor time, requests, memory (BENCH="--quick proxy-200" for less)
	@scripts/setup test
	cargo build --release --package perron --package bench
	@target/release/bench $(BENCH)
