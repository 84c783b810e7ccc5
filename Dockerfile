# syntax=docker/dockerfile:1
# Tessera in a container: docker build -t tessera . && docker run --rm --network host tessera
#
# Debian 13 for its GStreamer 1.26. The packages are those of `make run`, from the same lists.

FROM rust:1.95-trixie AS builder
WORKDIR /build
COPY scripts/install-packages scripts/install-packages
COPY scripts/packages scripts/packages
RUN scripts/install-packages build && rm -rf /var/lib/apt/lists/*
COPY Cargo.toml Cargo.lock ./
COPY src src
COPY benches benches
COPY pipelines pipelines
COPY assets assets
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/build/target \
    cargo build --release --locked --bin tessera \
    && install -D target/release/tessera /out/tessera

FROM debian:trixie-slim
COPY scripts/install-packages /tmp/scripts/install-packages
COPY scripts/packages /tmp/scripts/packages
RUN apt-get update \
    && apt-get install -y --no-install-recommends curl \
    && /tmp/scripts/install-packages runtime \
    && rm -rf /var/lib/apt/lists/* /tmp/scripts \
    && useradd --uid 10001 --shell /usr/sbin/nologin --create-home --home-dir /var/lib/tessera tessera
COPY --from=builder /out/tessera /usr/local/bin/tessera
COPY LICENSE-MIT LICENSE-APACHE assets/media/README.md /usr/share/doc/tessera/

# A number, so that who forbids root can see that this is not it.
USER 10001
WORKDIR /var/lib/tessera
# Fails the build, not the first call, if a GStreamer element is missing in the image. Leaves
# GStreamer's registry behind, which saves each start from looking at all plugins.
RUN tessera doctor

# Not in the command, so that `demo` and the health check have it as well.
ENV TESSERA_LISTEN=0.0.0.0:8080
EXPOSE 8080/tcp 3478/tcp 3478/udp
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s \
    CMD curl -fsS -o /dev/null "http://$TESSERA_LISTEN/healthz"
ENTRYPOINT ["tessera"]
CMD ["serve"]
