# The exporter's image as `qastack up` builds it: one static program and an empty data directory of its own user.
FROM scratch
COPY --chown=65532:65532 data /data
COPY qastack /qastack
USER 65532:65532
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=3s CMD ["/qastack", "healthcheck"]
ENTRYPOINT ["/qastack"]
CMD ["serve"]
