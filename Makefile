# What one does with this tree, as commands. `make` alone lists them.

SHELL   := /bin/bash
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
LAB_CMD ?= ./bin/sealpost lab up
FUZZTIME ?= 20s
BENCHTIME ?= 20000x

.DEFAULT_GOAL := help
.PHONY: help build run test lint bench fuzz cover docs

help: ## list these commands
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-7s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: ## build bin/sealpost, static and stamped with its version
	CGO_ENABLED=0 go build -trimpath -ldflags '-s -w -X main.version=$(VERSION)' -o bin/sealpost ./cmd/sealpost

run: build ## build, and run a whole world to try it in: server, zones and receivers
	$(LAB_CMD)

test: ## everything that must pass: fetch real MTAs, lint, test with the race detector
	./scripts/test.sh

lint: ## vet, gofmt and staticcheck only
	./scripts/lint.sh

bench: ## measure the whole server: BENCHTIME (20000x) messages of 10 KB for each row
	go test -run '^$$' -bench . -benchtime $(BENCHTIME) -timeout 30m ./internal/bench

fuzz: ## fuzz every parser, each for FUZZTIME (20s)
	FUZZTIME=$(FUZZTIME) ./scripts/fuzz.sh

cover: ## test coverage, function by function, and cover.html
	go test -coverprofile=cover.out -coverpkg=./internal/... ./...
	go tool cover -func=cover.out | tail -1
	go tool cover -html=cover.out -o cover.html

docs: ## write the pages that are generated from the code
	go generate ./internal/config ./internal/cli
	go test ./internal/app -run TestOpenAPIDocument -update
