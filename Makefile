# mpproxy: `make help` lists the targets. Nothing here writes outside build/ and Go's own caches.

SHELL   := /bin/bash
VERSION := $(shell git describe --always --dirty 2>/dev/null || echo dev)
LDFLAGS := -s -w -X main.version=$(VERSION)
SOURCES := $(shell find src -name '*.go' -not -name '*_test.go') go.mod go.sum

FUZZTIME ?= 30s
LINKS    ?=
ROUTER   ?=
DURATION ?=

.PHONY: packages feed feed-check all cross check test demo bench bench-criteria fuzz clean help

all: build/mpproxy

build/mpproxy: $(SOURCES)
	CGO_ENABLED=0 go build -trimpath -ldflags '$(LDFLAGS)' -o $@ ./src/cmd/mpproxy

cross:
	hack/cross.sh '$(LDFLAGS)'

check:
	hack/check.sh

test:
	hack/test.sh

demo:
	hack/demo.sh --links '$(LINKS)' --duration '$(DURATION)' $(if $(ROUTER),--router)

bench:
	hack/bench.sh

bench-criteria:
	ONLY=criteria hack/bench.sh

fuzz:
	hack/fuzz.sh '$(FUZZTIME)'

packages:
	OUT='$(OUT)' ARCHES='$(ARCHES)' hack/pack/make.sh packages

feed:
	OUT='$(OUT)' KEYS='$(KEYS)' URL='$(URL)' ARCHES='$(ARCHES)' hack/pack/make.sh feed

feed-check:
	FEED='$(FEED)' ARCHES='$(ARCHES)' hack/pack/make.sh check

clean:
	rm -rf build

help:
	@echo 'make               build/mpproxy, the program for this machine'
	@echo 'make demo          two emulated links joined into one, live, with a verdict (about 90 s, needs root)'
	@echo '                   own links: make demo LINKS="50M/10ms,12M/40ms/0.5%" DURATION=10s'
	@echo '                   how it lives on a router (no leak, undo, repair): make demo ROUTER=1 (about 30 s)'
	@echo 'make test          every check and test; installs what it needs; last line: the counts'
	@echo 'make check         formatting, vet, staticcheck, module files, shell scripts, import rules'
	@echo 'make bench         all that is measured, the most important first, with tables and plots in build/bench (2 hours); MINUTES=40'
	@echo '                   ends before that, and KEEP=build/bench goes on with it: what is there is not measured again'
	@echo '                   (REDO=1: but what was measured on a busy machine, which is marked). README=1 puts the tables into README.md'
	@echo '                   a part of it: make bench ONLY=profiles PROFILE=rtt_120,fiber_lte DURATION=10s RUNS=3'
	@echo '                   OURS=1: no other programs; sections: size y1 y8 y3 y5 y6 memory criteria profiles controls rivals'
	@echo '                   fairness modes y5both holds choices engine proxy mppold mpp'
	@echo 'make bench-criteria  what the design asked for first, each measured with a control (5 min)'
	@echo 'make fuzz          every fuzz target for FUZZTIME (30s) each'
	@echo 'make cross         the program for every OpenWrt architecture, with sizes (at most 8 MB)'
	@echo 'make packages      .ipk, .apk and .deb in build/packages; only some: ARCHES="x86_64 mipsel_24kc"'
	@echo 'make feed          a signed static feed: OUT=folder, KEYS=folder outside of here, URL=its address'
	@echo 'make feed-check    build a feed (or take FEED=folder), serve it here, read it back, try its packages;'
	@echo '                   with OPKG=, APK=, USIGN=program, OPENWRT_ROOT= (a root file system), OPENWRT_TREE=folder (a build'
	@echo '                   tree or SDK with the feeds packages and luci) also for real'
	@echo 'make clean         remove build/'
