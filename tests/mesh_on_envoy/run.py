"""One proxy after another: swap, run, send, and keep what happened as a case of the oracle."""

from __future__ import annotations

import collections
import dataclasses
import errno
import json
import multiprocessing
import pathlib
import random
import socket
import ssl
import subprocess
import tempfile
import traceback

import h2.config
import h2.connection
import h2.events

from oracle import certs, client, netns, runner, truth
from oracle.scenario import Request, Scenario
from oracle.upstream import EchoUpstream

from . import network
from .dump import load
from .swap import Swap
from .traffic import Traffic
from .tunnel import TunnelEnd


@dataclasses.dataclass
class Job:
    """One proxy's dump, and what to send to it."""

    dump: pathlib.Path
    seed: int
    requests: int
    witnesses: pathlib.Path | None = None

    @property
    def name(self) -> str:
        return self.dump.parent.name


@dataclasses.dataclass
class Result:
    """Where the case is, and what was done to the configuration."""

    name: str
    case: pathlib.Path
    changes: collections.Counter = dataclasses.field(default_factory=collections.Counter)
    rejected: list = dataclasses.field(default_factory=list)
    error: str = ""


class Identities:
    """Certificates for clients, by SPIFFE id; the client presents the one that its request names."""

    def __init__(self, directory: pathlib.Path):
        self.directory = certs.ensure(directory)

    def context(self, request: Request, _certs: pathlib.Path) -> ssl.SSLContext:
        """The TLS of one client."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        if request.tls.get("alpn"):
            context.set_alpn_protocols(request.tls["alpn"])
        identity = request.tls.get("client_cert")
        if identity:
            context.load_cert_chain(*self._pair(certs.CLIENT_SPIFFE if identity is True else identity))
        return context

    def _pair(self, identity: str) -> tuple[pathlib.Path, pathlib.Path]:
        name = "".join(c if c.isalnum() else "_" for c in identity)
        pair = self.directory / f"{name}.pem", self.directory / f"{name}.key"
        if not pair[0].exists():
            extension = self.directory / f"{name}.ext"
            extension.write_text(f"subjectAltName=URI:{identity}\n")
            for command in (
                ["req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/O=mesh",
                 "-keyout", pair[1].name, "-out", f"{name}.csr"],
                ["x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial",
                 "-days", "30", "-extfile", extension.name, "-out", pair[0].name],
            ):
                subprocess.run(["openssl", *command], cwd=self.directory, check=True, capture_output=True)
        return pair


class _Tunnel:
    """The stream of a CONNECT over HTTP/2, as a channel for what is inside."""

    def __init__(self, request: Request, channel, result: dict):
        self.channel, self.result, self.body, self.closed = channel, result, b"", False
        self.conn = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding="latin-1"))
        self.conn.initiate_connection()
        self.conn.send_headers(1, [(":method", "CONNECT"), (":authority", request.authority),
                                   *map(tuple, request.headers), (client.ID_HEADER, request.id)])
        channel.send(self.conn.data_to_send())
        while "status" not in result and not self.closed:
            self._read()

    def _read(self) -> None:
        data = self.channel.recv()
        self.closed |= not data
        for event in self.conn.receive_data(data) if data else []:
            if isinstance(event, h2.events.ResponseReceived):
                self.result["status"] = int(dict(event.headers)[":status"])
            elif isinstance(event, h2.events.DataReceived):
                self.body += event.data
            elif isinstance(event, (h2.events.StreamReset, h2.events.StreamEnded)):
                self.closed = True
        self.channel.send(self.conn.data_to_send())

    def send(self, data: bytes) -> None:
        if not self.closed:
            self.conn.send_data(1, data)
            self.channel.send(self.conn.data_to_send())

    def recv(self) -> bytes:
        while not self.body and not self.closed:
            self._read()
        out, self.body = self.body, b""
        return out


def _connect(request: Request, channel, result: dict) -> None:
    """CONNECT over HTTP/2 as tunnels are opened: without a path, and left open for what is inside."""
    tunnel = _Tunnel(request, channel, result)
    inside = getattr(request, "tunnelled", None)
    if result.get("status") != 200:
        result.setdefault("error", "closed")
    elif inside:
        del result["status"]
        client._http1(Request(**inside, id=request.id), tunnel, result)
    else:
        tunnel.send(b"ORACLE " + request.id.encode() + b"\n")
        client._take_raw(tunnel.recv(), result)


def _send(request: Request, cert_dir: pathlib.Path, once=client.send) -> dict:
    """Sends it, from another port if that one is taken."""
    if ":" in request.connect[0]:
        return _over_ipv6(request)
    for _ in range(5):
        result = once(request, cert_dir)
        if result.get("error") != f"os:{errno.EADDRINUSE}":
            break
    return result


def _over_ipv6(request: Request) -> dict:
    """The oracle's client speaks IPv4 only: here it is seen whether anyone listens at all."""
    with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as sock:
        sock.settimeout(client.TIMEOUT_S)
        try:
            sock.connect((request.connect[0], request.connect[1]))
        except ConnectionRefusedError:
            return {"error": "refused"}
    raise RuntimeError(f"{request.id}: somebody listens on IPv6, and what happens next isn't seen here")


def _http2(request: Request, channel, result: dict, usual=client._http2) -> None:
    (_connect if request.method == "CONNECT" else usual)(request, channel, result)


def run_all(jobs: list[Job], binary: str, out: pathlib.Path, workers: int) -> list[Result]:
    """Each worker process has a namespace of its own; results come in the order of the jobs."""
    out.mkdir(parents=True, exist_ok=True)
    context = multiprocessing.get_context("fork")
    todo, done = context.Queue(), context.Queue()
    for number, job in enumerate(jobs):
        todo.put((number, job))
    processes = [context.Process(target=_work, args=(todo, done, binary, out)) for _ in range(workers)]
    for process in processes:
        todo.put(None)
        process.start()
    results: dict[int, Result] = {}
    while len(results) < len(jobs):
        number, result = done.get(timeout=300)
        if number is None:
            raise RuntimeError(result)
        results[number] = result
    for process in processes:
        process.join(10)
    return [results[number] for number in sorted(results)]


def _work(todo, done, binary: str, out: pathlib.Path) -> None:
    try:
        netns.enter()
        network.prepare()
        known: dict[str, bool] = {}
        with tempfile.TemporaryDirectory(prefix="mesh-certs-") as directory:
            identities = Identities(pathlib.Path(directory))
            # The oracle's client knows one identity, and no tunnel over HTTP/2.
            client._tls_context, client._http2, client.send = identities.context, _http2, _send
            echo = EchoUpstream([network.ECHO_PORT])
            with echo, TunnelEnd(network.TUNNEL_END_PORT, network.ECHO_PORT):
                while (item := todo.get()) is not None:
                    number, job = item
                    done.put((number, _run(job, binary, out / job.name, identities.directory, known)))
    except Exception:
        done.put((None, traceback.format_exc()))


def _run(job: Job, binary: str, case: pathlib.Path, cert_dir: pathlib.Path, known: dict) -> Result:
    result = Result(job.name, case)
    try:
        resources = load(job.dump)
        swap = Swap(binary, known)
        static, dynamic, bootstrap = swap.resources(resources)
        rng = random.Random(f"{job.name} {job.seed}")
        requests = _witnesses(job, rng) + _recorded(job, rng) + Traffic(resources, rng).requests(job.requests)
        scenario = Scenario(name=job.name, seed=job.seed, static=static, dynamic=dynamic, bootstrap=bootstrap,
                            requests=requests).number_requests()
        summary = runner.run_case(scenario, binary, case, cert_dir)
        result.changes = swap.changes
        result.error = summary.get("error", "")
        log = case / "envoy.log"
        lines = log.read_text().splitlines() if log.exists() else []
        result.rejected = [line[:400] for line in lines if "rejected" in line or "Error adding" in line][:5]
        _look_inside(case)
        # The namespace's own rules did it; the tracer is told of them.
        scenario.redirects = network.REDIRECTS
        scenario.save(case / "scenario.json")
    except Exception:
        result.error = traceback.format_exc()[-1500:]
    return result


def _look_inside(case: pathlib.Path) -> None:
    """Of a request in a tunnel, what the inner listener logged is what happened; without a record it isn't judged."""
    path = case / "truth.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    kept = []
    for row in rows:
        if row["request"].get("tunnelled"):
            hops = [hop for hop in row["observed"].get("hops", []) if hop.get("owner") == "main_internal"]
            if not hops:
                continue
            row["outcome"] = truth.outcome({"http": hops[0], "client": row["observed"]["client"]})
        kept.append(json.dumps(row, sort_keys=True) + "\n")
    path.write_text("".join(kept))


def _witnesses(job: Job, rng) -> list[Request]:
    """The requests that notice a change, for this proxy."""
    out = []
    for path in sorted(job.witnesses.glob("*/witnesses.json")) if job.witnesses else []:
        for number, witness in enumerate(json.loads(path.read_text())):
            if witness["proxy"] == job.name:
                out.append(_request({**witness["request"], "id": f"{path.parent.name}-{number}"}, rng))
    return out


def _recorded(job: Job, rng) -> list[Request]:
    """Requests that lie beside the dump."""
    path = job.dump.parent / "requests.jsonl"
    lines = path.read_text().splitlines() if path.exists() else []
    return [_request(json.loads(line), rng) for line in lines]


def _request(document: dict, rng) -> Request:
    """Of the exchange format; who dials decides whether it is redirected."""
    redirected_to = document.pop("redirected_to", None)
    document["source"] = network.source(redirected_to, rng)
    return Request(**document, tolerance=["upstream_host", "cluster"])
