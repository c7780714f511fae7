"""Measures the stack without containers and writes its table into docs/benchmarks.md.

Run by benches/embedded, which names the program in the environment. Each time is the wall time of a whole command, as
a user waits for it, on a state directory of its own; `serve` is timed from its start to its first answer on /readyz.
"""

import datetime
import os
import pathlib
import platform
import socket
import statistics
import subprocess
import sys
import tempfile
import time

PAGE = pathlib.Path("docs/benchmarks.md")
BEGIN, END = "<!-- embedded: begin -->", "<!-- embedded: end -->"
PROGRAM = os.environ["QASTACK_BIN"]

# What is measured, and the most it may take: seconds, then MiB.
TIMES = {
    "`up` on an empty directory, ready and proven": 0.150,
    "`up` when it runs": 0.150,
    "`status`": 0.020,
    "`serve` from its start to ready, fresh store": 0.050,
}
IDLE = "exporter at rest with the sample, resident"
IDLE_MIB = 20


def main():
    rounds = int(sys.argv[1])
    took = {what: [] for what in TIMES}
    resident = []
    for number in range(rounds + 1):
        with tempfile.TemporaryDirectory(prefix="qastack-bench-") as directory:
            seconds, memory = one_round(pathlib.Path(directory))
        # The first one warms the caches and counts for nothing.
        if number > 0:
            for what, value in seconds.items():
                took[what].append(value)
            resident.append(memory)
    page(table(took, resident, rounds))


def one_round(directory):
    environment = {"HOME": str(directory), "XDG_STATE_HOME": str(directory / "state"), "PATH": os.environ["PATH"]}
    (directory / "qastack.yaml").write_text(f"ports: {{ test-metrics: {free_port()} }}\n")

    def timed(*arguments):
        command = [PROGRAM, "--engine", "embedded", *arguments]
        started = time.monotonic()
        run = subprocess.run(command, cwd=directory, env=environment, capture_output=True, text=True)
        if run.returncode != 0:
            sys.exit(f"{command}: {run.stdout}{run.stderr}")
        return time.monotonic() - started

    names = iter(TIMES)
    seconds = {next(names): timed("up")}
    seconds[next(names)] = timed("up")
    seconds[next(names)] = timed("status")
    record = (directory / "state/qastack/embedded/qastack/run.json").read_text()
    pid = int(record.split('"pid":')[1].split(",")[0])
    memory = resident_of(pid)
    timed("down", "--volumes")
    seconds[next(names)] = serve(directory, environment)
    return seconds, memory


def serve(directory, environment):
    port = free_port()
    command = [PROGRAM, "serve", "--listen", f"127.0.0.1:{port}", "--data-dir", str(directory / "data")]
    started = time.monotonic()
    with open(os.devnull, "wb") as nowhere:
        process = subprocess.Popen(command, cwd=directory, env=environment, stderr=nowhere)
    try:
        while not is_ready(port):
            if process.poll() is not None:
                sys.exit(f"{command} ended with {process.returncode}")
        return time.monotonic() - started
    finally:
        process.terminate()
        process.wait()


def is_ready(port):
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=2) as connection:
            connection.sendall(b"GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            return connection.recv(64).startswith(b"HTTP/1.1 200")
    except OSError:
        time.sleep(0.0005)
        return False


def resident_of(pid):
    pages = int(pathlib.Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1024 / 1024


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def table(took, resident, rounds):
    verdict = lambda value, bound: "holds" if value <= bound else "**missed**"
    processor = platform.processor() or platform.machine()
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            processor = line.split(":", 1)[1].strip()
            break
    lines = [
        f"Measured on {datetime.date.today()}: {os.cpu_count()} cores ({processor}), load average"
        f" {os.getloadavg()[0]:.1f} at the end. {rounds} rounds; milliseconds of whole commands.",
        "",
        "| what | median | best | at most | verdict of the median |",
        "|---|---:|---:|---:|---|",
    ]
    for what, bound in TIMES.items():
        median, best = statistics.median(took[what]), min(took[what])
        lines.append(
            f"| {what} | {median * 1000:.0f} | {best * 1000:.0f} | {bound * 1000:.0f} | {verdict(median, bound)} |"
        )
    median, least = statistics.median(resident), min(resident)
    lines.append(f"| {IDLE} | {median:.1f} MiB | {least:.1f} MiB | {IDLE_MIB} MiB | {verdict(median, IDLE_MIB)} |")
    return "\n".join(lines)


def page(text):
    before, rest = PAGE.read_text().split(BEGIN)
    _, after = rest.split(END)
    PAGE.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}")
    print(text)


main()
