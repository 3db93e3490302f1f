# What this repository can do; every target is one script in scripts/.
# Variables given on the command line reach the scripts through the environment.

.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

.PHONY: help
help:		## this list
	@scripts/help $(firstword $(MAKEFILE_LIST))

# The main job and the tests

.PHONY: demo test test-all shell run bench base-results
demo:		## build and boot the kernel, trace vfs_* with one program (GLOB='tcp_*' ARCH=…)
	@scripts/demo
test:		## build everything and run all tests (ARCH=arm64, riscv64, s390x; KERNEL=debug)
	@scripts/test
test-all:	## all tests, also of the other architectures
	@scripts/test --all
shell:		## a prompt in the booted kernel (ARCH=…)
	@scripts/shell
run:		## a test_progs selection in the booted kernel (T='tracing_multi_link' ARCH=…)
	@scripts/run
bench:		## what attaching, detaching and traced calls cost (ROWS= COLS= BASELINE=1)
	@scripts/bench
base-results:	## record the selftests' results on the unpatched base
	@scripts/base-results

# The series and its kernel tree

.PHONY: tree build export series
tree:		## build/tree: the base and the series as commits (BASE=dir, FORCE=1)
	@scripts/tree
build:		## kernel, modules and selftests of build/tree
	@scripts/build
export:		## write the commits of build/tree back (TREE=dir BASEREV=rev, FORCE=1)
	@scripts/export
series:		## build/series: the patches to mail (BASE=dir)
	@scripts/series

# Checks

.PHONY: test-tools check-bases check-series check-docs compile-matrix upstream-commits
test-tools:	## the tests of the scripts themselves (T='roundtrip ...')
	@scripts/tests/run
check-bases:	## does the series apply to every 6.12 that apt offers?
	@scripts/check-bases
upstream-commits:	## commits of upstream in place of the series' patches (LINUX=dir)
	@scripts/upstream-commits
check-series:	## checkpatch and objects of each patch (ONLY=style, ONLY=objects)
	@scripts/check-series
check-docs:	## do the documentation's pages build without a warning?
	@scripts/check-docs
compile-matrix:	## objects for other architectures, clang, reduced configs (VARIANTS='arm64')
	@scripts/compile-matrix

.PHONY: clean
clean:		## remove build/
	@scripts/clean
