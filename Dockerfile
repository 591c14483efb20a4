# Duckwire in a container: one static file, no shell, no root. `docker build -t duckwire .`; cmd/duckwire/deploy has a compose file.

FROM golang:1.26-bookworm AS build
WORKDIR /src
# The modules first: they change less often than the code.
COPY go.mod go.sum ./
RUN go mod download
COPY cmd cmd
COPY handlers handlers
COPY hub hub
COPY middleware middleware
COPY storage storage
COPY web web
# Static with cgo, which SQLite needs: Go's own resolver and user lookup, so that nothing of glibc is looked for at run time.
ARG VERSION=""
# otlp: with OpenTelemetry traces.
ARG TAGS_EXTRA=""
RUN CGO_ENABLED=1 go build -trimpath -tags "sqlite_omit_load_extension,netgo,osusergo,${TAGS_EXTRA}" \
    -ldflags "-s -w -X main.version=${VERSION} -linkmode external -extldflags -static" -o /out/duckwire ./cmd/duckwire
# The data folder, which the user of the next stage must own: a new volume takes the owner of what it is mounted over.
RUN mkdir -m 0700 /out/data

FROM scratch
ARG VERSION=""
LABEL org.opencontainers.image.title="Duckwire" \
      org.opencontainers.image.description="The real-time layer of an AI coding assistant: completions that outlive their connection" \
      org.opencontainers.image.source="https://github.com/duckwire/duckwire" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.version="${VERSION}"
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build --chown=65532:65532 /out/data /data
COPY --from=build /out/duckwire /duckwire
# A number, so that Kubernetes can see that it is not root.
USER 65532:65532
ENV DUCKWIRE_ADDR=":4000" \
    DUCKWIRE_DATA_DIR="/data"
VOLUME ["/data"]
EXPOSE 4000
# The process answers. It is not /readyz: a server whose key set cannot be had is not helped by a restart.
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s --retries=3 CMD ["/duckwire", "health"]
# More than drain_timeout must pass between SIGTERM and SIGKILL: Docker waits 10 s unless told otherwise (compose.yaml: stop_grace_period).
STOPSIGNAL SIGTERM
ENTRYPOINT ["/duckwire"]
CMD ["serve"]
