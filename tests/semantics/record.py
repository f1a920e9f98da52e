#!/usr/bin/env python3
"""Records the cases of testdata/semantics on a real Envoy, or holds their record against one.

    PYTHONPATH=../shared/oracle python tests/semantics/record.py [NAME…]
    PYTHONPATH=../shared/oracle python tests/semantics/record.py --check OUT [NAME…]
    PYTHONPATH=../shared/oracle ENVOY_BIN=… python tests/semantics/record.py --release 1.38.2 [NAME…]

A case is a folder with ``scenario.json``, written by hand: Envoy's configuration and the requests, each with a note that
says what it shows. Recording adds ``config_dump.json`` (without node.extensions and what the recording itself put in),
``requests.jsonl`` and ``truth.jsonl``, one line per request. What a scenario can't say stands in ``recording.json``:

``starts``     how many Envoys are started one after the other; their outcomes are put together.
``before``     what happens before the dump is taken, in this order: ``{"send": REQUEST, "times": N}``, or
               ``{"replace": {kind: resources}}`` which delivers other resources over the file-based xDS.
``keep``       more admin answers that the tracer gets, such as ``clusters.json``.

``--check`` writes the new record to OUT instead, and fails where it differs from the old one other than in the fields
that a request declares as random.

``--release`` records the scenarios ``testdata/versions/NAME.json`` on an older Envoy, each into a folder named after the
release and the scenario. One that knows some field of a scenario not rejects it; it is left out then.
"""

import argparse
import json
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import tempfile
import time

from oracle import check, client, config, envoyproc, runner
from oracle.scenario import Request, Scenario

CASES = pathlib.Path(__file__).resolve().parents[2] / "testdata" / "semantics"
VERSIONS = CASES.parent / "versions"
WIDTH = 120
ACCESS_LOG = "envoy.access_loggers.file"


# ------------------------------------------------------------ preparations


def recording(name):
    """What ``recording.json`` of a case says."""
    path = CASES / name / "recording.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


class Prepared(envoyproc.EnvoyProcess):
    """An Envoy to which the preparations of its case have happened before its admin answers are read."""

    case = ""

    def artefacts(self):
        for step in recording(self.case).get("before", []):
            if "send" in step:
                for _ in range(step.get("times", 1)):
                    client.send(Request(id="before", **step["send"]), self.directory / "certs")
            if "replace" in step:
                replace(self.directory, step["replace"])
            time.sleep(0.3)
        return super().artefacts()


def replace(directory, resources):
    """Delivers resources the way a control plane does over the file system: by moving a file over the old one."""
    with tempfile.TemporaryDirectory(dir=directory) as fresh:
        config.write(Scenario(name="replaced", dynamic=resources), pathlib.Path(fresh))
        for path in pathlib.Path(fresh, config.XDS).rglob("*.json"):
            os.replace(path, directory / path.relative_to(fresh))


def prepare_next(run_case):
    """``runner.run_case`` that knows which case its Envoy belongs to."""

    def run(scenario, *args):
        Prepared.case = scenario.name.partition("+")[0]
        return run_case(scenario, *args)

    return run


class Sockets:
    """The module socket, with IPv6 where the harness asks for IPv4."""

    def __getattr__(self, name):
        return getattr(socket, name)

    class socket(socket.socket):
        def __init__(self, _family, kind):
            super().__init__(socket.AF_INET6, kind)

        def getsockname(self):
            address, port, *_ = super().getsockname()
            return f"[{address}]", port


def over_either(send):
    """``client.send`` for both kinds of address."""

    def sender(request, certs):
        client.socket = Sockets() if ":" in request.connect[0] else socket
        return send(request, certs)

    return sender


# ----------------------------------------------------------------- records


def text(value, indent=0, taken=0):
    """JSON in which everything stands on one line that fits there; ``taken`` is what stands before it on its line."""
    line = json.dumps(value, ensure_ascii=False)
    if indent + taken + len(line) < WIDTH or not value or not isinstance(value, (dict, list)):
        return line
    pad = "\n" + " " * indent
    if isinstance(value, dict):
        keys = {key: json.dumps(key) + ": " for key in value}
        items = [keys[key] + text(item, indent + 1, len(keys[key])) for key, item in value.items()]
        return "{" + ",".join(f"{pad} {item}" for item in items) + pad + "}"
    return "[" + ",".join(f"{pad} {text(item, indent + 1)}" for item in value) + pad + "]"


def strip(node):
    """Takes the access logs of the recording out of a dump, in place."""
    if isinstance(node, dict):
        logs = [log for log in node.get("access_log", []) if log.get("name") != ACCESS_LOG]
        if "access_log" in node and not logs:
            del node["access_log"]
        for value in node.values():
            strip(value)
    elif isinstance(node, list):
        for value in node:
            strip(value)


def dump(case):
    document = json.loads((case / "config_dump.json").read_text(encoding="utf-8"))
    check.unlabel(document)
    strip(document)
    return document


def timeless(node):
    """A dump without the moment in which it was taken."""
    if isinstance(node, dict):
        return {key: timeless(value) for key, value in node.items() if key != "last_updated"}
    return [timeless(value) for value in node] if isinstance(node, list) else node


def merged(cases):
    """The lines of ``truth.jsonl`` of one case over several starts, without what nobody compares."""
    out = []
    for rows in zip(*(list(check.rows(case)) for case in cases)):
        request, seen = rows[0]["request"], {}
        for row in rows:
            for outcome in row.get("outcomes") or [row["outcome"]]:
                outcome = {key: value for key, value in outcome.items() if key not in ("seen", "error")}
                seen[json.dumps(outcome, sort_keys=True)] = None
        outcomes = [json.loads(outcome) for outcome in sorted(seen)]
        row = {"request": request, "outcome": outcomes[0]}
        if len(outcomes) > 1:
            row["outcomes"] = outcomes
        out.append(row)
    return out


def write_lines(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def write(raw, name, target):
    """Writes the record of a case, made of one or more raw ones."""
    target.mkdir(parents=True, exist_ok=True)
    fresh, place = dump(raw[0]), target / "config_dump.json"
    if not place.exists() or timeless(json.loads(place.read_text(encoding="utf-8"))) != timeless(fresh):
        place.write_text(text(fresh) + "\n", encoding="utf-8")
    for extra in recording(name).get("keep", []):
        shutil.copy(raw[0] / extra, target / extra)
    scenario = json.loads((raw[0] / "scenario.json").read_text(encoding="utf-8"))
    rows = merged(raw)
    write_lines(target / "truth.jsonl", rows)
    redirects = scenario.get("redirects", [])
    write_lines(target / "requests.jsonl", [check.tracer_request(row["request"], redirects) for row in rows])


def differences(name, target):
    """How a new record of a case differs from the kept one, but for what is random."""
    out = []
    old, new = list(check.rows(CASES / name)), list(check.rows(target))
    if [row["request"] for row in old] != [row["request"] for row in new]:
        out.append(f"{name}: the requests of scenario.json aren't those of truth.jsonl")
    for before, after in zip(old, new):
        free = set(before["request"].get("tolerance", []))

        def certain(row, free=free):
            outcomes = row.get("outcomes") or [row["outcome"]]
            _, fields = check.scope(row["request"], outcomes)
            outcomes = [check.normalize(outcome) for outcome in outcomes]
            kept = [{key: value for key, value in outcome.items() if key in fields and key not in free} for outcome in outcomes]
            return sorted({json.dumps(outcome, sort_keys=True) for outcome in kept})

        if certain(before) != certain(after):
            out.append(f"{name}/{before['request']['id']}: kept {certain(before)}, new {certain(after)}")
    return out


# ----------------------------------------------------------------- command


def of_release(release, names, workers):
    """Records scenarios on an Envoy of a release."""
    envoy = envoyproc.find_binary()
    version = subprocess.run([envoy, "--version"], capture_output=True, text=True, check=True).stdout
    if f"/{release}/" not in version:
        sys.exit(f"{envoy} isn't {release}: {version.strip()}")
    names = names or sorted(path.stem for path in VERSIONS.glob("*.json"))
    scenarios = []
    for name in names:
        document = json.loads((VERSIONS / f"{name}.json").read_text(encoding="utf-8"))
        scenarios.append(Scenario.from_dict({**document, "name": f"{release}-{name}"}))
    with tempfile.TemporaryDirectory(prefix="versions-") as place:
        place = pathlib.Path(place)
        runner.run_all(scenarios, envoy, place, workers, progress=lambda summary: None)
        for scenario in scenarios:
            if (place / scenario.name / "truth.jsonl").exists():
                write([place / scenario.name], scenario.name, VERSIONS / scenario.name)
            else:
                print(f"{scenario.name}: left out, this release rejects it")
    return 0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help="cases (default: all)")
    parser.add_argument("--check", type=pathlib.Path, metavar="OUT", help="compare instead of writing")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--release", metavar="RELEASE", help="record testdata/versions on this release")
    args = parser.parse_args()
    if args.release:
        return of_release(args.release, args.names, args.workers)
    runner.EnvoyProcess = Prepared
    runner.run_case = prepare_next(runner.run_case)
    client.send = over_either(client.send)

    names = args.names or sorted(path.parent.name for path in CASES.glob("*/scenario.json"))
    scenarios, starts = [], {}
    for name in names:
        document = json.loads((CASES / name / "scenario.json").read_text(encoding="utf-8"))
        count = recording(name).get("starts", 1)
        starts[name] = [f"{name}+{nth}" if nth else name for nth in range(count)]
        scenarios += [Scenario.from_dict({**document, "name": start}) for start in starts[name]]
    with tempfile.TemporaryDirectory(prefix="semantics-") as place:
        place, failed = pathlib.Path(place), []
        runner.run_all(scenarios, envoyproc.find_binary(), place, args.workers, progress=failed.append)
        failed = [f"{summary['name']}: {summary['error']}" for summary in failed if not summary["ok"]]
        for name in names:
            raw = [place / start for start in starts[name]]
            if not all((case / "truth.jsonl").exists() for case in raw):
                continue
            target = (args.check or CASES) / name
            write(raw, name, target)
            if args.check:
                shutil.copy(CASES / name / "scenario.json", target / "scenario.json")
                failed += differences(name, target)
    for line in failed:
        print(line, file=sys.stderr)
    print(f"{len(names)} cases, {len(scenarios)} starts, {len(failed)} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
