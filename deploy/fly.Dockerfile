# OpenClaw's image with openclaw-trace in it, for platforms that run one image a machine.
ARG OPENCLAW_IMAGE=ghcr.io/openclaw/openclaw:latest
FROM golang:1.26 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
RUN CGO_ENABLED=0 go build -trimpath -ldflags "-s -w" -o /out/openclaw-trace ./cmd/openclaw-trace

FROM $OPENCLAW_IMAGE
COPY --from=build /out/openclaw-trace /usr/local/bin/openclaw-trace
COPY --chmod=0755 deploy/beside /usr/local/bin/beside
# beside gives each of the two a user of its own.
USER root
ENTRYPOINT ["/usr/local/bin/beside"]
