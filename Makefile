# Bonsai. `make help` lists what there is.

SHELL       := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

export GOFLAGS     := -trimpath -buildvcs=false
export CGO_ENABLED := 0

BIN     := bin/bonsai
COMMIT  := $(shell git rev-parse --short HEAD 2>/dev/null || echo unknown)
VERSION := $(shell sed -n 's/^const Kubernetes = "\(.*\)"/\1/p' pkg/version/version.go)
CONTAINERD := $(shell sed -n 's|.*github.com/containerd/containerd/v2 v\([^ ]*\).*|\1|p' go.mod)
LDFLAGS := -s -w -X bonsai/pkg/version.Commit=$(COMMIT) \
	-X k8s.io/component-base/version.gitVersion=$(VERSION) \
	-X k8s.io/component-base/version.gitCommit=$(COMMIT) \
	-X k8s.io/client-go/pkg/version.gitVersion=$(VERSION) \
	-X github.com/containerd/containerd/v2/version.Version=$(CONTAINERD)
SUDO    := $(shell [ $$(id -u) -eq 0 ] || echo sudo)

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: up
up: system build ## install what is missing, build, start a cluster, end at a Ready node
	@$(SUDO) $(BIN) up --detach

.PHONY: down
down: ## stop the cluster and remove everything it made on this machine
	@$(SUDO) $(BIN) down

.PHONY: build
build: carry ## make bin/bonsai
	@echo "building $(BIN)"
	@go build -ldflags '$(LDFLAGS)' -o $(BIN) ./cmd/bonsai

.PHONY: carry
carry: build-system ## build runc, the shim, CNI and the first images, which the binary carries
	@go run ./hack/carry

.PHONY: components
components: ## make bin/apiserver, bin/scheduler, …: each component alone
	@for c in apiserver scheduler controller-manager kubelet proxy; do \
		echo "building bin/$$c"; go build -ldflags '$(LDFLAGS)' -o bin/$$c ./cmd/$$c; done

.PHONY: system
system: ## install the packages that running needs
	@hack/system run

.PHONY: build-system
build-system: ## install the packages that building needs
	@hack/system build

.PHONY: test-system
test-system: ## install the packages that testing needs
	@hack/system run build test

.PHONY: check
check: ## format, vet, lint, unit tests: under two minutes, run it often
	@hack/check

.PHONY: test
test: test-system build ## all tests: check, API server, and whole clusters with real containers
	@hack/check
	@go test -count=1 -timeout 20m ./test/integration/...
	@$(SUDO) env PATH="$$PATH" BONSAI=$(CURDIR)/$(BIN) go test -count=1 -timeout 15m ./test/e2e/...

.PHONY: bench
bench: build ## measure, each figure as a ratio to a limit of this machine
	@$(SUDO) $(BIN) bench

.PHONY: generate
generate: ## make the OpenAPI documents in api/ anew
	@go run ./hack/openapi

.PHONY: clean
clean: ## remove what was built
	@rm -rf bin
