# The exporter's image, for an engine that cannot run the executable that `qastack up` would send it (another
# processor or system): build it where that engine is, and name it in the settings as images.test-metrics.
#
#   docker build -t qastack/test-metrics:own .

ARG RUST=rust:1-bookworm
FROM ${RUST} AS build
WORKDIR /qastack
COPY . .
RUN cargo build --release --locked --bin qastack \
    && cp "target/$(rustc -vV | sed -n 's/^host: //p')/release/qastack" /qastack.static \
    && mkdir /data

FROM scratch
COPY --from=build /qastack.static /qastack
COPY --from=build --chown=65532:65532 /data /data
USER 65532:65532
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=3s CMD ["/qastack", "healthcheck"]
ENTRYPOINT ["/qastack"]
CMD ["serve"]
