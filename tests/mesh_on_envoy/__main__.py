"""Runs what a mesh sends to its proxies on a real Envoy, and holds `xdsight trace` against it.

    python -m mesh_on_envoy [--witnesses STEPS] [--requests N] [--seed N] DUMP…

(in `tests/`, with `../shared/oracle` in PYTHONPATH and `xdsight` in PATH; needs root or user namespaces, `ip`, `nft`).
Each DUMP is a config_dump.json, or a folder of such folders. What a stock Envoy lacks is swapped (`swap`); the swapped
configuration as Envoy itself prints it is what is traced. Prints a line for each proxy, then every disagreement.
"""

from __future__ import annotations

import argparse
import pathlib
import random
import sys
import tempfile

from oracle import check, envoyproc

from . import run


def main() -> int:
    parser = argparse.ArgumentParser(prog="mesh_on_envoy", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dumps", nargs="+", type=pathlib.Path, metavar="DUMP")
    parser.add_argument("--requests", type=int, default=300, help="most random ones for each proxy (%(default)s)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--sample", type=int, help="only so many of the proxies, drawn by the seed")
    parser.add_argument("--witnesses", type=pathlib.Path, help="a folder of steps: their requests are sent, too")
    parser.add_argument("--out", type=pathlib.Path, help="keep the cases here")
    parser.add_argument("--command", dest="command_line", default=check.DEFAULT_COMMAND)
    parser.add_argument("--envoy", help="Envoy binary")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--show", type=int, default=20, help="disagreements to print (%(default)s)")
    parser.add_argument("--changes", action="store_true", help="print what was swapped")
    args = parser.parse_args()
    dumps = [dump for path in args.dumps for dump in _dumps(path)]
    if args.sample and args.sample < len(dumps):
        dumps = random.Random(args.seed).sample(dumps, args.sample)
    jobs = [run.Job(dump, args.seed, args.requests, args.witnesses) for dump in dumps]
    with tempfile.TemporaryDirectory(prefix="mesh-") as scratch:
        out = args.out or pathlib.Path(scratch)
        results = run.run_all(jobs, envoyproc.find_binary(args.envoy), out, args.jobs)
        return _report(results, args)


def _dumps(path: pathlib.Path) -> list[pathlib.Path]:
    if path.is_file():
        return [path]
    return sorted(path.glob("config_dump.json")) or sorted(path.glob("*/config_dump.json"))


def _report(results: list, args) -> int:
    print(f"{'proxy':44s} {'requests':>8s} {'agree':>6s} {'loose':>6s} {'unknown':>8s} {'wrong':>6s} {'missing':>8s}")
    total, problems, failed = check.Tally(), [], 0
    for result in results:
        if result.error:
            failed += 1
            print(f"{result.name:44s} {result.error}")
            continue
        judged = check.check_case(result.case, args.command_line, 60.0)
        total.add(judged)
        problems += [j for j in judged.judgements if j.verdict != "agree"]
        counts = [sum(1 for j in judged.judgements if j.verdict == v)
                  for v in ("agree", "loose", "unknown", "wrong", "missing")]
        print(f"{result.name:44s} {len(judged.judgements):8d} {counts[0]:6d} {counts[1]:6d} {counts[2]:8d} "
              f"{counts[3]:6d} {counts[4]:8d}", flush=True)
        for line in result.rejected:
            failed += 1
            print(f"    Envoy rejected: {line}")
        if args.changes:
            for what, count in sorted(result.changes.items()):
                print(f"    {count:4d} {what}")
    verdicts = total.verdicts
    print(f"{len(results)} proxies: {total.requests} requests, {verdicts['agree']} agree, {verdicts['loose']} loose, "
          f"{verdicts['unknown']} unknown, {verdicts['wrong']} wrong, {verdicts['missing']} missing")
    for verdict in ("wrong", "missing", "loose", "unknown"):
        for item in [j for j in problems if j.verdict == verdict][: args.show]:
            print(f"{verdict}: {check.describe(item)}")
            if item.reason or item.unknown:
                print(f"    {item.reason or item.unknown}{'' if item.in_set or not item.unknown else ' (not in the set)'}")
    return 1 if failed or verdicts["wrong"] or verdicts["missing"] else 0


sys.exit(main())
