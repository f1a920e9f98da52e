"""Settles what the oracle's client couldn't read of tunnels.

    python tests/semantics/tunnels.py CASES

The client takes the head of the answer to an HTTP/1 CONNECT, sends a line into the tunnel and waits for more. Where an
upstream answers the CONNECT like any request, with a body, and that came together with the head, nothing more comes:
the client gives up and records no status at all, though it has read one. Envoy's access log has the status; here it
is written into the recordings below CASES. Whether head and body come together is a race of the harness.
"""

import json
import pathlib
import sys


def settled(row: dict) -> bool:
    """Takes the status of a recorded line from Envoy's log, where the client gave up on an open tunnel."""
    request, observed, outcome = row["request"], row.get("observed", {}), row.get("outcome", {})
    log = observed.get("http", {})
    gave_up = observed.get("client", {}).get("error") == "timeout" and "status" not in outcome
    is_tunnel = request.get("method") == "CONNECT" and request.get("protocol", "http1") == "http1"
    if not (gave_up and is_tunnel and log.get("code") == 200 and log.get("upstream_host")):
        return False
    outcome["status"] = log["code"]
    return True


def main() -> None:
    for path in sorted(pathlib.Path(sys.argv[1]).glob("*/truth.jsonl")):
        rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
        count = sum([settled(row) for row in rows])
        if count:
            path.write_text("".join(json.dumps(row, sort_keys=True) + "\n" for row in rows), encoding="utf-8")
            print(f"{path.parent.name}: {count} CONNECT whose status is taken from Envoy's log")


main()
