"""Requests for what a proxy was sent: to each listener, chain, domain and route, and near misses of each."""

from __future__ import annotations

import dataclasses
import re
try:
    from re import _constants as sre, _parser as sre_parser
except ImportError:  # Python before 3.11
    import sre_constants as sre
    import sre_parse as sre_parser

from oracle.scenario import OUTCOME_FIELDS, Request

from . import network
from .dump import Resources, address_of, chains_of, port_of, strings

MESH_ALPN = [["istio-http/1.1", "istio", "http/1.1"], ["istio-h2", "istio", "h2"], ["istio-peer-exchange", "istio"]]
OTHER_ALPN = [["http/1.1"], ["h2"], ["h2", "http/1.1"], [], ["spdy/3"]]
UNNAMED = "spiffe://cluster.local/ns/default/sa/client"
#: Addresses that no listener has.
UNKNOWN_ADDRESSES = ["10.99.99.99", "203.0.113.5", "8.8.8.8"]
@dataclasses.dataclass
class Tunnelling(Request):
    """A request of the exchange format that may be a CONNECT with another request in its tunnel."""

    tunnelled: dict | None = None


NAMES_OF_HEADERS = ["x-test", "end-user", "user-agent", "cookie"]


class Traffic:
    """Draws requests; the same seed gives the same ones."""

    def __init__(self, resources: Resources, rng):
        self.resources, self.rng = resources, rng
        found = set(strings(resources.listeners))
        # Policies name identities in whole, or the namespace by a regex.
        whole = (re.search(r"[a-z.]+/ns/[a-z-]+/sa/[a-z-]+", text) for text in found)
        spaces = (re.search(r"/ns/([a-z-]+)/", text) for text in found)
        self.identities = [UNNAMED] + sorted({"spiffe://" + m.group(0) for m in whole if m} | {
            f"spiffe://cluster.local/ns/{m.group(1)}/sa/caller" for m in spaces if m})
        self.paths = sorted({p for p in found if re.fullmatch(r"/[\w./-]*", p) and not p.startswith("/dev/")})
        self.domains = sorted({d for r in self._route_configs() for v in r.get("virtual_hosts", [])
                               for d in v.get("domains", [])})

    def requests(self, most: int) -> list[Request]:
        """Up to `most` requests: an even draw over all there is to reach."""
        targets = list(self._targets())
        self.rng.shuffle(targets)
        out = []
        while targets and len(out) < most:
            for draw in targets[: most - len(out)]:
                out.append(draw())
        for request in out:
            if request.method == "CONNECT" and request.protocol == "h2":
                # Over HTTP/2 it has no path.
                request.path = None
        return [request for request in out if _can_be_sent(request)]

    def _route_configs(self):
        yield from self.resources.routes
        for listener in self.resources.all_listeners():
            for chain in chains_of(listener):
                for network_filter in chain.get("filters", []):
                    if "route_config" in network_filter.get("typed_config", {}):
                        yield network_filter["typed_config"]["route_config"]

    # ------------------------------------------------------------- connections

    def _targets(self):
        """One function for each chain that can be reached, and for each route behind it."""
        for listener in self.resources.all_listeners():
            if port_of(listener) is None:
                continue
            for chain in chains_of(listener):
                yield lambda a=listener, b=chain: self._raw(a, b)
                for routes in self._routes_of(chain):
                    for vhost in routes.get("virtual_hosts", []):
                        for route in vhost.get("routes", []) or [None]:
                            yield lambda a=listener, b=chain, c=vhost, d=route: self._http(a, b, c, d)

    def _routes_of(self, chain: dict):
        for network_filter in chain.get("filters", []):
            settings = network_filter.get("typed_config", {})
            if "route_config" in settings:
                yield settings["route_config"]
            name = settings.get("rds", {}).get("route_config_name")
            found = self.resources.route_config(name) if name else None
            if found:
                yield found

    def _connection(self, listener: dict, chain: dict) -> Request:
        rng, match = self.rng, chain.get("filter_chain_match") or {}
        ip, port = address_of(listener), match.get("destination_port", port_of(listener))
        redirected_to, tolerance = None, ["upstream_host"]
        if port_of(listener) == network.OUTBOUND_PORT:
            redirected_to, ip = network.OUTBOUND_PORT, rng.choice(UNKNOWN_ADDRESSES)
            port = rng.choice([80, 443, 4321, port])
        elif port_of(listener) == network.INBOUND_PORT:
            redirected_to, ip = network.INBOUND_PORT, self.resources.own_address
            port = port if port != network.INBOUND_PORT else rng.choice([4321, 8080, port])
        elif listener.get("bind_to_port") is False and self.resources.captures(network.OUTBOUND_PORT):
            redirected_to = network.OUTBOUND_PORT
            if ip == "0.0.0.0":
                ip = rng.choice(UNKNOWN_ADDRESSES + self._virtual_addresses(port))
        elif ip == "0.0.0.0":
            ip = self.resources.own_address
        if match.get("prefix_ranges") and rng.random() < 0.8:
            ip = rng.choice(match["prefix_ranges"])["address_prefix"]
        if ":" in ip:
            ip = rng.choice(UNKNOWN_ADDRESSES)
        if rng.random() < 0.05 and redirected_to:
            port = rng.choice([80, 443, 9080, 8080, 15021])
            tolerance.append("cluster")
        return Tunnelling(connect=[ip, port], source=network.source(redirected_to, rng), tls=self._tls(chain, match),
                       tolerance=tolerance)

    def _virtual_addresses(self, port: int) -> list:
        own = [address_of(x) for x in self.resources.listeners if port_of(x) == port]
        return [ip for ip in own if ip and ip != "0.0.0.0" and ":" not in ip]

    def _tls(self, chain: dict, match: dict) -> dict | None:
        rng = self.rng
        wanted = bool(chain.get("transport_socket")) or match.get("transport_protocol") == "tls" or (
            "server_names" in match)
        if wanted == (rng.random() < 0.08):
            return None
        names = match.get("server_names", [])
        sni = self._name(rng.choice(names)) if names else rng.choice([None, "outbound_.80_._.x.y", "a.example.com"])
        if rng.random() < 0.12:
            sni = rng.choice([None, "other.example.org", "x" + (sni or "")])
        protocols = match.get("application_protocols", [])
        alpn = rng.choice(MESH_ALPN + OTHER_ALPN[:2])
        if protocols and rng.random() < 0.5:
            alpn = rng.sample(protocols, min(len(protocols), rng.randint(1, 2)))
        if rng.random() < 0.12:
            alpn = rng.choice(OTHER_ALPN)
        identity = rng.choice(self.identities) if rng.random() < 0.85 else False
        return {"sni": sni, "alpn": alpn, "client_cert": identity}

    def _raw(self, listener: dict, chain: dict) -> Request:
        """Bytes that aren't HTTP, or HTTP where it may not be expected."""
        request = self._connection(listener, chain)
        if self.rng.random() < 0.6:
            request.protocol = "tcp"
        else:
            request.authority, request.path = self._authority(self.rng.choice(self.domains or ["a"])), "/"
        return self._tolerant(request, chain, None)

    # ------------------------------------------------------------------- HTTP

    def _http(self, listener: dict, chain: dict, vhost: dict, route: dict | None) -> Request:
        rng = self.rng
        request = self._connection(listener, chain)
        alpn = (request.tls or {}).get("alpn", [])
        speaks_h2 = any(p in ("h2", "istio-h2") for p in alpn[:1])
        request.protocol = "h2" if (speaks_h2 if request.tls else rng.random() < 0.15) else "http1"
        request.authority = self._authority(rng.choice(vhost.get("domains") or ["a"]))
        request.path = "/"
        self._match(request, (route or {}).get("match", {}))
        self._vary(request)
        return self._tolerant(request, chain, vhost)

    def _authority(self, domain: str) -> str:
        rng, name = self.rng, self._name(domain)
        dice = rng.random()
        if dice < 0.06:
            return name.upper()
        if dice < 0.12:
            return "x" + name
        if dice < 0.18:
            return name.rpartition(":")[0] or name + ":80"
        if dice < 0.22:
            return rng.choice(["no.such.host", "10.1.2.3", "a..b", self._name(rng.choice(self.domains or ["a"]))])
        return name

    def _name(self, pattern: str) -> str:
        """A name that a wildcard takes."""
        if pattern == "*":
            return self.rng.choice(["any.example.org", "10.9.8.7:81", "x"])
        return pattern.replace("*", self.rng.choice(["w", "a.b"]))

    def _match(self, request: Request, match: dict) -> None:
        """What the matcher asks for, nine times in ten for each part of it."""
        rng = self.rng
        if "connect_matcher" in match:
            request.method = "CONNECT"
            request.path = request.authority = rng.choice(self._tunnel_targets())
            if request.tls and rng.random() < 0.7:
                self._fill_tunnel(request)
            return
        if "path" in match:
            request.path = match["path"]
        elif "prefix" in match:
            request.path = match["prefix"] + rng.choice(["", "x", "/y", "1/2"])
        elif "path_separated_prefix" in match:
            request.path = match["path_separated_prefix"] + rng.choice(["", "/", "/y", "y"])
        elif "safe_regex" in match:
            request.path = self._sample(match["safe_regex"]["regex"])
        if rng.random() < 0.08:
            request.path = rng.choice([request.path + "/z", request.path.upper(), request.path[:-1] or "/", "/"])
        query = [f"{p['name']}={self._value(p.get('string_match'))}" for p in match.get("query_parameters", [])
                 if rng.random() < 0.9]
        if query:
            request.path += "?" + "&".join(query)
        for header in match.get("headers", []):
            name = header["name"]
            if (rng.random() < 0.9) == bool(header.get("invert_match") or header.get("present_match") is False):
                continue
            value = self._value(header.get("string_match") or {k.removesuffix("_match"): v for k, v in header.items()
                                                               if k in ("exact_match", "prefix_match")})
            if name == ":method":
                request.method = value
            elif name == ":authority":
                request.authority = value
            elif not name.startswith(":"):
                request.headers.append([name, value])

    def _fill_tunnel(self, request: Tunnelling) -> None:
        """A request for one of the inner listener's routes."""
        inner = next((x for x in self.resources.listeners if x.get("name") == "main_internal"), {})
        vhosts = [(chain, v) for chain in chains_of(inner) for routes in self._routes_of(chain)
                  for v in routes.get("virtual_hosts", [])]
        if not vhosts:
            return
        chain, vhost = self.rng.choice(vhosts)
        if self.rng.random() < 0.8:
            request.path = request.authority = self._destination(inner, chain) or request.authority
        inside = Tunnelling(authority=self._authority(self.rng.choice(vhost["domains"])), path="/")
        self._match(inside, (self.rng.choice(vhost.get("routes") or [{}])).get("match", {}))
        self._vary(inside)
        request.protocol, request.tls["alpn"] = "h2", ["h2"]
        request.tunnelled = {"protocol": "http1", "method": inside.method, "authority": inside.authority,
                             "path": inside.path, "headers": inside.headers}

    def _destination(self, listener: dict, chain: dict) -> str | None:
        """A destination that leads to the chain, by its match or by the listener's matcher of addresses and ports."""
        match = chain.get("filter_chain_match") or {}
        for prefix in match.get("prefix_ranges", []):
            return f"{prefix['address_prefix']}:{match.get('destination_port', 4321)}"
        tree = listener.get("filter_chain_matcher", {}).get("matcher_tree", {})
        for entry in tree.get("custom_match", {}).get("typed_config", {}).get("range_matchers", []):
            if chain.get("name") in strings(entry):
                return f"{entry['ranges'][0]['address_prefix']}:{chain['name'].split('|')[1]}"
        return None

    def _tunnel_targets(self) -> list:
        """Destinations inside an HBONE tunnel: those that the inner listener has chains for, and one more."""
        out = ["10.99.99.99:80", self.resources.own_address + ":4321"]
        for listener in self.resources.listeners:
            if listener.get("name") != "main_internal":
                continue
            for chain in chains_of(listener):
                match = chain.get("filter_chain_match") or {}
                for prefix in match.get("prefix_ranges", []):
                    out += [f"{prefix['address_prefix']}:{match.get('destination_port', 4321)}"] * 3
            ports = {m.group(1) for m in map(re.compile(r"^inbound-vip\|(\d+)\|").search, strings(listener)) if m}
            ips = [s for s in strings(listener.get("filter_chain_matcher")) if re.fullmatch(r"\d+\.\d+\.\d+\.\d+", s)]
            ips += _addresses(listener.get("filter_chain_matcher"))
            out += [f"{ip}:{port}" for ip in ips for port in sorted(ports) + ["99"]]
        return out

    def _value(self, matcher: dict | None) -> str:
        rng = self.rng
        for kind, build in (("exact", lambda v: v), ("prefix", lambda v: v + "z"), ("suffix", lambda v: "z" + v),
                            ("contains", lambda v: "a" + v + "b")):
            if matcher and kind in matcher:
                return build(matcher[kind]) if rng.random() < 0.9 else rng.choice(["no", matcher[kind].upper()])
        if matcher and "safe_regex" in matcher:
            return self._sample(matcher["safe_regex"]["regex"]) or "x"
        return "1"

    def _sample(self, pattern: str) -> str:
        """A text that the pattern matches; where it is too clever, some text."""
        try:
            return "".join(self._draw(sre_parser.parse(pattern)))
        except (re.error, KeyError, ValueError):
            return "/x/1"

    def _draw(self, nodes):
        rng = self.rng
        for kind, value in nodes:
            if kind == sre.LITERAL:
                yield chr(value)
            elif kind in (sre.ANY, sre.NOT_LITERAL):
                yield rng.choice("abz19")
            elif kind == sre.IN:
                yield from self._draw_class(value)
            elif kind == sre.BRANCH:
                yield from self._draw(rng.choice(value[1]))
            elif kind == sre.SUBPATTERN:
                yield from self._draw(value[3])
            elif kind in (sre.MAX_REPEAT, sre.MIN_REPEAT):
                least, most, inner = value
                for _ in range(rng.randint(least, min(int(most), least + 3))):
                    yield from self._draw(inner)

    def _draw_class(self, choices):
        rng = self.rng
        if choices[0][0] == sre.NEGATE:
            yield rng.choice("abz19")
            return
        kind, value = rng.choice(choices)
        if kind == sre.LITERAL:
            yield chr(value)
        elif kind == sre.RANGE:
            yield chr(rng.randint(*value))
        else:
            yield rng.choice({sre.CATEGORY_DIGIT: "0123456789", sre.CATEGORY_SPACE: " "}.get(value, "abz1_"))

    def _vary(self, request: Request) -> None:
        """What policies and filters look at beside the route."""
        rng = self.rng
        dice = rng.random()
        if request.method == "CONNECT":
            return
        if dice < 0.12 and self.paths:
            request.path = rng.choice(self.paths) + rng.choice(["", "/x", "?q=1"])
        elif dice < 0.16:
            request.path += rng.choice(["?q=1", "%2e", "//a", "/../b", "#f", "/%41"])
        elif dice < 0.24:
            # No HEAD: the echo server answers it with a body over HTTP/2, which upstreams must not do.
            request.method = rng.choice(["POST", "DELETE", "OPTIONS"])
        if rng.random() < 0.08:
            request.headers += [["origin", rng.choice(["https://shop.example.com", "http://x.org"])],
                                ["access-control-request-method", "GET"]]
        if rng.random() < 0.06:
            request.headers.append(["authorization", "Bearer not.a.token"])
        if rng.random() < 0.05:
            request.headers.append(["x-forwarded-for", rng.choice(["10.0.0.9", "198.51.100.77"])])
        if rng.random() < 0.04:
            request.headers.append(["content-type", "application/grpc"])
        if rng.random() < 0.04:
            request.headers.append([rng.choice(NAMES_OF_HEADERS), rng.choice(["1", "jason", "a=b"])])

    def _tolerant(self, request: Request, chain: dict, vhost: dict | None) -> Request:
        """Names what is random, so that a set of outcomes is right and what is seen must be in it."""
        reachable = set(_keys([list(self._routes_of(chain)), chain.get("filters", [])]))
        aimed_at = set(_keys(vhost)) if vhost else reachable
        # A near miss may be another virtual host's.
        if "weighted_clusters" in reachable:
            request.tolerance = ["upstream_host", "cluster"]
            request.repeat = 3 if "weighted_clusters" in aimed_at else 1
        if aimed_at & {"abort", "delay"}:
            request.tolerance = OUTCOME_FIELDS
        return request


def _keys(node):
    if isinstance(node, dict):
        for key, value in node.items():
            yield key
            yield from _keys(value)
    elif isinstance(node, list):
        for value in node:
            yield from _keys(value)


def _addresses(node):
    """Keys of a matcher's map that are addresses."""
    return [key for key in _keys(node) if re.fullmatch(r"\d+\.\d+\.\d+\.\d+", key)]


def _can_be_sent(request: Request) -> bool:
    """Python's TLS takes no server name that isn't a host name."""
    sni = (request.tls or {}).get("sni")
    try:
        return not sni or bool(sni.encode("idna")) and not sni.startswith(".")
    except UnicodeError:
        return False
