# shellcheck shell=bash
# What the tests and the benchmarks need around them: programs, an engine, images. Sourced from the top of
# the tree by ./test, benches/compare-with-compose and tests/break. What was started here is ended here.

environment=${CARGO_TARGET_DIR:-target}/environment
mkdir -p "$environment"
environment=$(cd "$environment" && pwd)

# Debian's programs, fetched and not installed: nothing of the machine's own changes.
programs=$environment/programs
export QASTACK_PROMETHEUS=$programs/usr/bin/prometheus
export QASTACK_PROMTOOL=$programs/usr/bin/promtool
export QASTACK_COMPOSE=$programs/usr/bin/docker-compose
export QASTACK_REGISTRY=$programs/usr/bin/docker-registry
# The machine's own release of it, since it needs that one's libraries.
export QASTACK_SSH_SERVER=$environment/ssh-server

# Checks a running API against its document. From PyPI, in a directory of its own.
schemathesis=$environment/schemathesis/bin/schemathesis
# The page is looked at with Debian's Chromium; what drives it is pinned in tests/browser and lies here.
export QASTACK_BROWSER_MODULES=$environment/browser/node_modules

say() { printf '\n== %s\n' "$*"; }

as_root() {
    if ((EUID == 0)); then "$@"; else sudo "$@"; fi
}

has() { command -v "$1" >/dev/null 2>&1; }

engine_answers() { has docker && docker info >/dev/null 2>&1; }

# Whether what drives the browser is there as it is pinned now.
browser_is_driven() {
    [[ -d $QASTACK_BROWSER_MODULES/axe-core && -d $QASTACK_BROWSER_MODULES/playwright-core ]] &&
        cmp -s tests/browser/package-lock.json "$environment/browser/package-lock.json"
}

# Each thing that is missing, one a line. Arguments: what the run needs (build, lint, programs, engine).
missing_things() {
    local need
    for need in "$@"; do
        case $need in
            build)
                has cargo || echo "cargo: the Rust toolchain, see https://rustup.rs (the one thing --bootstrap does not bring)"
                has cc || echo "cc: a C compiler, for the bundled SQLite (package build-essential)"
                ;;
            lint) has shellcheck || echo "shellcheck: checks the scripts (package shellcheck)" ;;
            programs)
                [[ -x $QASTACK_PROMETHEUS ]] || echo "prometheus: a real server for the tests (package prometheus)"
                [[ -x $QASTACK_PROMTOOL ]] || echo "promtool: checks metrics, configuration and rules (package promtool)"
                has chromium || echo "chromium: looks at the page (package chromium)"
                has node || echo "node: drives the browser (package nodejs)"
                browser_is_driven || echo "playwright-core and axe-core, as tests/browser/package-lock.json pins them (npm ci)"
                has systemd-analyze || echo "systemd-analyze: judges the rendered unit (package systemd)"
                [[ -x $QASTACK_REGISTRY ]] || echo "docker-registry: a real registry for the tests (package docker-registry)"
                [[ -x $schemathesis ]] || echo "schemathesis: checks the API against docs/openapi.yaml (from PyPI; package python3-venv)"
                [[ -x $QASTACK_COMPOSE ]] || echo "docker-compose: what users look at the stack with (package docker-compose, 2.x)"
                ;;
            engine)
                has docker || echo "docker: the client that makes the test images (package docker.io)"
                engine_answers || echo "a Docker engine that answers (package docker.io, then dockerd)"
                has dockerd || echo "dockerd: a second engine, on another machine as far as the network goes (package docker.io)"
                has ip || echo "ip: network namespaces, for that engine (package iproute2)"
                has podman || echo "podman: an engine that is not Docker (packages podman, crun, netavark and aardvark-dns)"
                has ssh || echo "ssh: the way to an engine behind it (package openssh-client)"
                [[ -x $QASTACK_SSH_SERVER/usr/sbin/sshd ]] || echo "sshd: a real ssh server for the tests (package openssh-server, not installed)"
                has openssl || echo "openssl: certificates, for that engine (package openssl)"
                ;;
        esac
    done
}

install_packages() {
    local wanted=()
    has cc || wanted+=(build-essential)
    has shellcheck || wanted+=(shellcheck)
    # Where Python is without pip, a virtual environment cannot be made.
    python3 -c 'import ensurepip, venv' 2>/dev/null || wanted+=(python3 python3-venv)
    has systemd-analyze || wanted+=(systemd)
    has chromium || wanted+=(chromium)
    has node || wanted+=(nodejs)
    has npm || wanted+=(npm)
    if ! engine_answers && ! has dockerd; then wanted+=(docker.io iptables cgroupfs-mount); fi
    has ip || wanted+=(iproute2)
    has openssl || wanted+=(openssl)
    has podman || wanted+=(podman crun netavark aardvark-dns)
    has ssh || wanted+=(openssh-client)
    ((${#wanted[@]})) || return 0
    say "installing ${wanted[*]}"
    as_root apt-get -qq update
    as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends "${wanted[@]}" >/dev/null
    # Newer releases of Debian have the client in a package of its own.
    has docker || as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq install -y docker-cli >/dev/null
}

# Installs what tests/schemathesis/requirements.txt pins, again when that changed.
fetch_schemathesis() {
    local pinned=tests/schemathesis/requirements.txt installed=$environment/schemathesis/requirements.txt
    if [[ -x $schemathesis ]] && cmp -s "$pinned" "$installed"; then return 0; fi
    say "installing schemathesis from PyPI"
    rm -rf "$environment/schemathesis"
    python3 -m venv "$environment/schemathesis"
    "$environment/schemathesis/bin/pip" install --quiet --disable-pip-version-check --requirement "$pinned"
    cp "$pinned" "$installed"
}

fetch_programs() {
    if ! browser_is_driven; then
        say "fetching what drives the browser"
        mkdir -p "$environment/browser"
        cp tests/browser/package.json tests/browser/package-lock.json "$environment/browser"
        npm ci --prefix "$environment/browser" --ignore-scripts --no-audit --no-fund --silent || return 1
    fi
    local wanted=()
    [[ -x $QASTACK_PROMETHEUS ]] || wanted+=(prometheus)
    [[ -x $QASTACK_PROMTOOL ]] || wanted+=(promtool)
    [[ -x $QASTACK_COMPOSE ]] || wanted+=(docker-compose)
    [[ -x $QASTACK_REGISTRY ]] || wanted+=(docker-registry)
    ((${#wanted[@]})) || return 0
    say "fetching ${wanted[*]} from Debian's packages"
    tests/environment/debian "$programs" "${wanted[@]}"
}

# Not installed: an ssh server would start, and let people into this machine.
fetch_ssh_server() {
    [[ ! -x $QASTACK_SSH_SERVER/usr/sbin/sshd ]] || return 0
    say "fetching sshd from the machine's own release"
    local packages
    packages=$(mktemp -d)
    as_root apt-get -qq update
    (cd "$packages" && apt-get -qq -o APT::Sandbox::User=root download openssh-server libwrap0) || return 1
    for package in "$packages"/*.deb; do
        dpkg -x "$package" "$QASTACK_SSH_SERVER"
    done
    rm -rf "$packages"
}

engine_job=
engine_directory=

# Starts dockerd by hand, where no engine answers and none is started by an init system.
start_engine() {
    engine_answers && return 0
    say "starting dockerd (its log: $environment/dockerd.log)"
    [[ -e /sys/fs/cgroup/cgroup.controllers || -d /sys/fs/cgroup/memory ]] || as_root cgroupfs-mount
    # Directories of its own, so that files left by an engine that was killed cannot mislead it.
    engine_directory=$(mktemp -d /tmp/qastack-engine.XXXXXX)
    # A session of its own, so that Ctrl-C reaches the tests first and the engine ends last.
    as_root setsid dockerd --exec-root "$engine_directory" --pidfile "$engine_directory/dockerd.pid" \
        >"$environment/dockerd.log" 2>&1 </dev/null &
    engine_job=$!
    local deadline=$((SECONDS + 60))
    until engine_answers; do
        if ! kill -0 "$engine_job" 2>/dev/null || ((SECONDS > deadline)); then
            echo "dockerd does not answer; the end of its log:" >&2
            tail -n 20 "$environment/dockerd.log" >&2
            return 1
        fi
        sleep 0.2
    done
}

# Every project the end-to-end tests of this run make is called e2e-RUN-…
export QASTACK_TEST_RUN=$$

# Removes what a test that was killed left behind: our label, and a name of this run.
remove_leftovers() {
    local ours=(--filter label=dev.qastack.project --filter "name=e2e-$QASTACK_TEST_RUN-")
    docker ps -aq "${ours[@]}" | xargs -r docker rm -fv
    docker network ls -q "${ours[@]}" | xargs -r docker network rm
    docker volume ls -q "${ours[@]}" | xargs -r docker volume rm
    docker image ls -q --filter label=dev.qastack.project | sort -u |
        xargs -r docker image inspect --format '{{index .Config.Labels "dev.qastack.project"}} {{.Id}}' |
        sed -n "s/^e2e-$QASTACK_TEST_RUN-[^ ]* //p" | xargs -r docker image rm --force
}

# Ends the engine, if this run started it.
end_environment() {
    ! engine_answers || remove_leftovers >/dev/null
    [[ -n $engine_job ]] || return 0
    # The job is the shell that waits for dockerd, which is in a session of its own.
    as_root kill "$(cat "$engine_directory/dockerd.pid")" || true
    wait "$engine_job" || true
    as_root rm -rf "$engine_directory"
    engine_job=
}

# Where cargo puts what it builds: this machine's own target is named in .cargo/config.toml.
built() {
    local host
    host=$(rustc -vV | sed -n 's/^host: //p')
    (cd "${CARGO_TARGET_DIR:-target}/$host/$1" && pwd)
}

# The one statically linked binary; it is the command line and the exporter's image.
build_release() {
    cargo build --quiet --release --bins || return 1
    QASTACK_BIN=$(built release)/qastack
    export QASTACK_BIN
}

# The Grafana double is built as the tests are: a release build of it would build their dependencies once more.
make_images() {
    cargo build --quiet --example grafana-double || return 1
    GRAFANA_DOUBLE=$(built debug)/examples/grafana-double
    QASTACK_TEST_IMAGE_PROMETHEUS=$(tests/images/prometheus "$programs") || return 1
    QASTACK_TEST_IMAGE_GRAFANA=$(tests/images/grafana "$GRAFANA_DOUBLE") || return 1
    export GRAFANA_DOUBLE QASTACK_TEST_IMAGE_PROMETHEUS QASTACK_TEST_IMAGE_GRAFANA
}
