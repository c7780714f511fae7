"""Puts the table on standard input between the markers of a name in docs/benchmarks.md, with date and machine."""

import datetime
import os
import pathlib
import re
import sys

PAGE = pathlib.Path(__file__).parent.parent / "docs" / "benchmarks.md"

name, table = sys.argv[1], sys.stdin.read().strip()
model = re.search(r"^model name\s*: (.*)$", pathlib.Path("/proc/cpuinfo").read_text(), re.MULTILINE)
machine = f"{os.cpu_count()} cores ({model[1] if model else 'unknown'})"
begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
text = PAGE.read_text()
before, rest = text.split(begin)
after = rest.split(end)[1]
PAGE.write_text(f"{before}{begin}\nMeasured on {datetime.date.today()}: {machine}.\n\n{table}\n{end}{after}")
