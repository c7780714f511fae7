"""Measures qastack beside docker compose and writes the table in docs/benchmarks.md.

Run by benches/compare-with-compose, which makes what this needs and names it in the environment.
Each figure is the wall time of a whole command, as a user waits for it.
"""

import datetime
import json
import os
import pathlib
import platform
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request

PAGE = pathlib.Path("docs/benchmarks.md")
BEGIN, END = "<!-- compare-with-compose: begin -->", "<!-- compare-with-compose: end -->"
MEBIBYTE = 1024 * 1024

# What is compared, and the most that ours may take of theirs.
BOUNDS = {
    "ready, fresh volumes": 1.0,
    "ready, kept volumes": 1.0,
    "proven, fresh volumes": 0.5,
    "proven, kept volumes": 0.5,
    "`up` when all is up": 0.25,
    "`status` / `ps`": 1.0,
    "`down`": 1.0,
}


def main():
    rounds = int(sys.argv[1])
    with tempfile.TemporaryDirectory(prefix="qastack-bench-") as directory:
        sides = [Ours(pathlib.Path(directory)), Theirs(pathlib.Path(directory))]
        try:
            ours, theirs = sides
            ours.warm_up()
            theirs.write_files()
            for number in range(rounds):
                for side in sides if number % 2 == 0 else reversed(sides):
                    side.round()
                    print(f"round {number + 1} of {rounds}: {side.name}", flush=True)
            resident, size = ours.at_rest()
        finally:
            for side in sides:
                side.remove()
    page(table(ours.took, theirs.took, rounds, resident, size))


class Side:
    """One of the two, its commands and the times they took."""

    def __init__(self, directory):
        self.directory = directory
        self.ports = free_ports(3)
        self.took = {what: [] for what in BOUNDS}

    def timed(self, what, command):
        started = time.monotonic()
        run(command, self.directory)
        self.took[what].append(time.monotonic() - started)

    def small_commands(self, up, look):
        for _ in range(3):
            self.timed("`up` when all is up", up)
            self.timed("`status` / `ps`", look)


class Ours(Side):
    name = "qastack"

    def __init__(self, directory):
        super().__init__(directory)
        test_metrics, prometheus, grafana = self.ports
        settings = self.directory / "qastack.yaml"
        settings.write_text(
            f"project: bench-ours-{os.getpid()}\n"
            f"ports: {{ test-metrics: {test_metrics}, prometheus: {prometheus}, grafana: {grafana} }}\n"
            f"images:\n"
            f"  prometheus: {os.environ['QASTACK_TEST_IMAGE_PROMETHEUS']}\n"
            f"  grafana: {os.environ['BENCH_IMAGE_GRAFANA']}\n"
        )
        self.command = [os.environ["QASTACK_BIN"], "--file", str(settings)]

    def warm_up(self):
        """Once through everything, so that neither side pays for what the engine does only once."""
        run(self.command + ["up"], self.directory)
        run(self.command + ["down", "--volumes"], self.directory)

    def round(self):
        for volumes in ["fresh", "kept"]:
            started = time.monotonic()
            up = json.loads(run(self.command + ["up", "--json"], self.directory))
            self.took[f"proven, {volumes} volumes"].append(time.monotonic() - started)
            self.took[f"ready, {volumes} volumes"].append(up["data"]["timings"]["ready"])
            self.small_commands(self.command + ["up"], self.command + ["status"])
            self.timed("`down`", self.command + ["down"])
        run(self.command + ["down", "--volumes"], self.directory)

    def at_rest(self):
        """The exporter's resident memory and its image's size, in bytes, half a minute after its start."""
        run(self.command + ["up"], self.directory)
        time.sleep(30)
        container = json.loads(run(["docker", "inspect", f"bench-ours-{os.getpid()}-test-metrics"]))[0]
        status = pathlib.Path(f"/proc/{container['State']['Pid']}/status").read_text()
        resident = next(line for line in status.splitlines() if line.startswith("VmRSS:"))
        image = json.loads(run(["docker", "inspect", container["Image"]]))[0]
        return int(resident.split()[1]) * 1024, image["Size"]

    def remove(self):
        run(self.command + ["down", "--volumes"], self.directory, any_exit=True)


class Theirs(Side):
    name = "docker compose"

    image = "qastack-bench/test-metrics"

    def build_image(self):
        """The exporter's image under a name of its own: ours removes and builds the one it made."""
        context = self.directory / "image"
        (context / "data").mkdir(parents=True)
        shutil.copy(os.environ["QASTACK_BIN"], context / "qastack")
        (context / "Dockerfile").write_text(
            "FROM scratch\nCOPY qastack /qastack\nCOPY --chown=65532:65532 data /data\nUSER 65532:65532\n"
            'ENTRYPOINT ["/qastack"]\nCMD ["serve"]\n'
        )
        run(["docker", "build", "--quiet", "--tag", self.image, str(context)])

    def write_files(self):
        """Writes an equivalent compose file: the same images, limits and hardening, and 1 s health checks."""
        self.build_image()
        test_metrics, prometheus, grafana = self.ports
        hardened = {
            "read_only": True, "tmpfs": ["/tmp"], "cap_drop": ["ALL"], "security_opt": ["no-new-privileges:true"],
            "restart": "on-failure:5", "pids_limit": 300, "cpus": 2.0,
        }

        def healthy(*test):
            return {"test": ["CMD", *test], "interval": "1s", "timeout": "3s", "retries": 60}

        (self.directory / "prometheus.yml").write_text(
            "global: { scrape_interval: 15s }\n"
            "scrape_configs:\n"
            "  - job_name: test-metrics\n"
            "    static_configs: [{ targets: ['test-metrics:8080'] }]\n"
        )
        (self.directory / "datasource.yml").write_text(
            "apiVersion: 1\ndatasources:\n"
            "  - { name: Prometheus, type: prometheus, access: proxy, url: 'http://prometheus:9090', isDefault: true }\n"
        )
        document = {
            "name": f"bench-theirs-{os.getpid()}",
            "services": {
                "test-metrics": {
                    "image": self.image, "ports": [f"127.0.0.1:{test_metrics}:8080"], "volumes": ["test-metrics:/data"],
                    "mem_limit": "256m", "healthcheck": healthy("/qastack", "healthcheck"), **hardened,
                },
                "prometheus": {
                    "image": os.environ["QASTACK_TEST_IMAGE_PROMETHEUS"],
                    "ports": [f"127.0.0.1:{prometheus}:9090"], "mem_limit": "1g",
                    "volumes": ["prometheus:/prometheus", "./prometheus.yml:/etc/prometheus/prometheus.yml:ro"],
                    "healthcheck": healthy("/bin/promtool", "check", "healthy", "--url=http://127.0.0.1:9090"),
                    **hardened,
                },
                "grafana": {
                    "image": os.environ["BENCH_IMAGE_GRAFANA"],
                    "ports": [f"127.0.0.1:{grafana}:3000"], "mem_limit": "512m",
                    "volumes": [
                        "grafana:/var/lib/grafana",
                        "./datasource.yml:/etc/grafana/provisioning/datasources/prometheus.yml:ro",
                    ],
                    "healthcheck": healthy("curl", "-fsS", "-o", "/dev/null", "http://127.0.0.1:3000/api/health"),
                    **hardened,
                },
            },
            "volumes": {"test-metrics": {}, "prometheus": {}, "grafana": {}},
        }
        # JSON is YAML.
        (self.directory / "compose.yaml").write_text(json.dumps(document, indent=2))
        self.command = [os.environ["QASTACK_COMPOSE"], "--file", str(self.directory / "compose.yaml")]

    def round(self):
        up = self.command + ["up", "-d", "--wait"]
        for volumes in ["fresh", "kept"]:
            started, clock = time.monotonic(), time.time()
            self.timed(f"ready, {volumes} volumes", up)
            wait_for_sample(self.ports[1], newer_than=clock)
            self.took[f"proven, {volumes} volumes"].append(time.monotonic() - started)
            self.small_commands(up, self.command + ["ps"])
            self.timed("`down`", self.command + ["down"])
        run(self.command + ["down", "--volumes"], self.directory)

    def remove(self):
        if (self.directory / "compose.yaml").exists():
            run(self.command + ["down", "--volumes"], self.directory, any_exit=True)
            run(["docker", "image", "rm", self.image], any_exit=True)


def wait_for_sample(port, newer_than):
    """Asks Prometheus every 50 ms for a sample of flake_rate that was scraped after this start."""
    query = urllib.parse.urlencode({"query": "timestamp(flake_rate)"})
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/v1/query?{query}", timeout=5) as answer:
                result = json.load(answer)["data"]["result"]
            if result and float(result[0]["value"][1]) > newer_than:
                return
        except OSError:
            pass
        time.sleep(0.05)
    sys.exit("no sample of flake_rate within 60 s of `docker compose up`")


def run(command, directory=None, any_exit=False):
    ended = subprocess.run(command, cwd=directory, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if ended.returncode != 0 and not any_exit:
        sys.exit(f"{' '.join(command)} ended with {ended.returncode}:\n{ended.stdout}{ended.stderr}")
    return ended.stdout


def free_ports(count):
    listeners = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [listener.getsockname()[1] for listener in listeners]
    for listener in listeners:
        listener.close()
    return ports


def table(ours, theirs, rounds, resident, size):
    def verdict(holds):
        return "holds" if holds else "**missed**"

    version = json.loads(run(["docker", "version", "--format", "{{json .Server}}"]))["Version"]
    compose = run([os.environ["QASTACK_COMPOSE"], "version", "--short"]).strip()
    model = next(
        (line.split(":")[1].strip() for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines()
         if line.startswith("model name")), platform.machine())
    prometheus = os.environ["QASTACK_TEST_IMAGE_PROMETHEUS"].rsplit(":", 1)[1]
    lines = [
        f"Measured on {datetime.date.today()}: {os.cpu_count()} cores ({model}), Docker Engine {version},"
        f" Docker Compose {compose}, Prometheus {prometheus}, the Grafana double with the real one's start-up time."
        f" Medians of {rounds} rounds in one run, the order alternating; seconds of whole commands.",
        "",
        "| what | qastack | docker compose | ratio | at most | verdict |",
        "|---|---:|---:|---:|---:|---|",
    ]
    for what, bound in BOUNDS.items():
        mine, other = statistics.median(ours[what]), statistics.median(theirs[what])
        ratio = mine / other
        lines.append(f"| {what} | {mine:.2f} | {other:.2f} | {ratio:.2f} | {bound} | {verdict(ratio <= bound)} |")
    for what, value, bound in [("exporter at rest, resident", resident, 20), ("exporter's image", size, 15)]:
        shown = value / MEBIBYTE
        lines.append(f"| {what} | {shown:.1f} MiB | | | {bound} MiB | {verdict(shown <= bound)} |")
    return "\n".join(lines)


def page(text):
    before, _, rest = PAGE.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    PAGE.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}")
    print(text)


main()
