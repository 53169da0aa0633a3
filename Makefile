.DEFAULT_GOAL := help
export CGO_ENABLED ?= 0
SQLC_VERSION := v1.31.1
GENAI_PRICES := 0.1.8
GENAI_PRICES_DATE := 2026-09-23
FUZZTIME ?= 30s
BENCHTIME ?= 60000x
KILLS ?= 100
SOAK ?= 3m
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo devel)
COMMIT ?= $(shell git rev-parse HEAD 2>/dev/null || echo unknown)
LDFLAGS := -s -w -X main.version=$(VERSION) -X main.commit=$(COMMIT)
SQLC := go run github.com/sqlc-dev/sqlc/cmd/sqlc@$(SQLC_VERSION)

.PHONY: help run demo migrate test race e2e screenshots crash soak fuzz bench generate prices verify build image clean bin/openclaw-trace bin/sqlc-bulk

# Sample data never mix with real ones.
demo: export OCT_DB_PATH := $(CURDIR)/data/demo.db

# One database under the working folder, unless OCT_DB_PATH says otherwise.
run migrate: export OCT_DB_PATH := $(or $(OCT_DB_PATH),$(CURDIR)/data/openclaw-trace.db)

help: ## show this list
	@sed -n 's/^\([a-z0-9]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 12

run: bin/openclaw-trace ## build and run the sidecar
	bin/openclaw-trace

migrate: bin/openclaw-trace ## bring the database of make run to the newest schema
	mkdir -p "$(dir $(OCT_DB_PATH))"
	bin/openclaw-trace migrate up

demo: bin/openclaw-trace ## run the sidecar on sample data, to look around
	rm -f $(OCT_DB_PATH)*
	bin/openclaw-trace demo

test: ## run the tests
	go test -shuffle=on ./...

race: ## run the tests with the race detector, which needs a C compiler
	CGO_ENABLED=1 go test -race -short -shuffle=on ./...

e2e: ## run the built binary behind a real OpenTelemetry Collector, scraped by Prometheus, and its pages in Chromium
	for m in e2e/*/go.mod; do (cd $$(dirname $$m) && go mod tidy -diff && go vet ./... && go test -count=1 ./...) || exit; done

screenshots: ## take the pictures of the README anew; needs Chromium
	cd e2e/browser && go test -count=1 -run '^TestScreenshots$$' . -args -screenshots

crash: ## kill, fill disks, cut power: the tests that take long
	go test -count=1 -timeout 30m ./internal/writer -args -long
	go test -count=1 -timeout 30m -v ./cmd/openclaw-trace -args -kills=$(KILLS) -long

soak: ## a virtual month inside the disk budget; then SOAK of load among faults, judged by the slope
	go test -count=1 -timeout 30m -v -run '^TestMonth$$' ./internal/janitor -args -long
	go test -count=1 -timeout 0 -v -run '^TestSoak$$' ./cmd/openclaw-trace -args -soak $(SOAK)

fuzz: ## fuzz each target for FUZZTIME
	for f in FuzzProtobufTraces FuzzProtobufLogs FuzzJSONTraces; do \
		go test -run '^$$' -fuzz "^$$f$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 10x ./internal/otlp || exit; done
	for f in FuzzNative FuzzServeHTTP; do \
		go test -run '^$$' -fuzz "^$$f$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 10x ./internal/api || exit; done
	for p in cgroup hoststat; do \
		go test -run '^$$' -fuzz '^FuzzRead$$' -fuzztime $(FUZZTIME) -fuzzminimizetime 10x ./internal/$$p || exit; done
	go test -run '^$$' -fuzz '^FuzzMask$$' -fuzztime $(FUZZTIME) -fuzzminimizetime 10x ./internal/redact
	go test -run '^$$' -fuzz '^FuzzWith$$' -fuzztime $(FUZZTIME) -fuzzminimizetime 10x ./internal/pricing
	go test -run '^$$' -fuzz '^FuzzParse$$' -fuzztime $(FUZZTIME) -fuzzminimizetime 10x ./internal/pricing/json5

bench: ## run the benchmarks
	go test -run '^$$' -bench . -benchtime $(BENCHTIME) $(shell grep -rl '^func Benchmark' --include '*_test.go' . | xargs -r dirname | sort -u)

generate: bin/sqlc-bulk ## make db from queries and migrations
	$(SQLC) generate

prices: ## make the price table from the npm package that publishes it; needs npm
	dir=$$(mktemp -d) && trap 'rm -rf "$$dir"' EXIT && \
		npm pack --silent --pack-destination "$$dir" @pydantic/genai-prices@$(GENAI_PRICES) && \
		go run ./internal/pricing/generate -date $(GENAI_PRICES_DATE) -o internal/pricing/prices.txt "$$dir"/*.tgz

verify: bin/sqlc-bulk ## fail if something generated or formatted is stale
	$(SQLC) diff
	$(SQLC) vet
	go test -count=1 ./migrations ./internal/config ./internal/sqlcbulk
	go mod tidy -diff
	@test -z "$$(gofmt -l . | tee /dev/stderr)"
	go vet ./...

build: ## build static binaries for the supported platforms
	for p in linux/amd64 linux/arm64 darwin/arm64; do GOOS=$${p%/*} GOARCH=$${p#*/} \
		go build -trimpath -ldflags '$(LDFLAGS)' -o bin/openclaw-trace-$${p%/*}-$${p#*/} ./cmd/openclaw-trace || exit; done

image: ## build the container image openclaw-trace
	docker build -f deploy/Dockerfile -t openclaw-trace --build-arg VERSION=$(VERSION) --build-arg COMMIT=$(COMMIT) .

bin/openclaw-trace:
	go build -trimpath -ldflags '$(LDFLAGS)' -o $@ ./cmd/openclaw-trace
bin/sqlc-bulk:
	go build -o $@ ./internal/sqlcbulk

clean: ## remove what was built
	rm -rf bin coverage.out
