"""Makes what istiod generates run on a stock Envoy, and says what was changed.

Kept as they are: listeners and their addresses, filter chains, routes, clusters, endpoints and their addresses, the
node, the runtime. The network namespace takes every address for its own (see `network`), so nothing is mapped.
"""

from __future__ import annotations

import collections
import copy

from oracle import config, typecheck

TYPE = "type.googleapis.com/"
RAW_BUFFER = {"name": "raw_buffer",
              "typed_config": {"@type": TYPE + "envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer"}}
INTERNAL_LISTENER = {
    "name": "envoy.bootstrap.internal_listener",
    "typed_config": {"@type": TYPE + "envoy.extensions.bootstrap.internal_listener.v3.InternalListener"},
}
#: These decide by code or a server that isn't here; what comes after them is to be seen.
OPAQUE = ("envoy.extensions.filters.http.lua.v3.Lua", "envoy.extensions.filters.http.wasm.v3.Wasm",
          "envoy.extensions.filters.network.wasm.v3.Wasm",
          "envoy.extensions.filters.http.ext_authz.v3.ExtAuthz",
          "envoy.extensions.filters.network.ext_authz.v3.ExtAuthz")
#: EDS clusters that stay such.
MOST_WATCHES = 16
#: Lists of extensions of which one may be left out.
_LISTS = ("filters", "http_filters", "listener_filters", "upstream_http_filters")
#: What only reports, to places that aren't there.
_REPORTS = ("access_log", "tracing", "access_log_options")


class Swap:
    """One proxy's resources, changed; `changes` counts what was done."""

    def __init__(self, binary: str, known: dict):
        self.binary, self.known = binary, known
        self.changes: collections.Counter = collections.Counter()
        self.secrets: dict[str, dict] = {}

    def resources(self, resources) -> tuple[dict, dict, dict]:
        """`static`, `dynamic` and `bootstrap` of a scenario."""
        clusters = [self._cluster(c, resources) for c in copy.deepcopy(resources.clusters)]
        self._inline(clusters, resources)
        wanted = {c.get("eds_cluster_config", {}).get("service_name") or c["name"]
                  for c in clusters if c.get("type") == "EDS"}
        listeners = [self._listener(x) for x in copy.deepcopy(resources.listeners)]
        routes = [self._clean(x) for x in copy.deepcopy(resources.routes)]
        asked = set(_asked_routes(listeners))
        endpoints = {e["cluster_name"]: self._clean(e) for e in copy.deepcopy(resources.endpoints)
                     if e.get("cluster_name") in wanted}
        for name in wanted - set(endpoints):
            self.changes["EDS answers made, without endpoints"] += 1
            endpoints[name] = {"cluster_name": name}
        have = {route["name"] for route in routes}
        for name in asked - have:
            self.changes["route configurations that aren't in the dump, made without virtual hosts"] += 1
            routes.append({"name": name})
        dynamic = {
            "listeners": listeners,
            "clusters": clusters,
            "routes": [route for route in routes if route["name"] in asked],
            "endpoints": list(endpoints.values()),
            "secrets": list(self.secrets.values()),
        }
        static = {
            "listeners": [self._listener(x) for x in copy.deepcopy(resources.static_listeners)],
            "clusters": [self._cluster(c, resources) for c in copy.deepcopy(resources.static_clusters)],
        }
        for kind in ("routes", "endpoints", "secrets"):
            paths = collections.Counter(
                config.source(kind, config.resource_name(r))["path_config_source"]["path"] for r in dynamic[kind])
            clash = [path for path, count in paths.items() if count > 1]
            if clash:
                raise ValueError(f"{kind} of different names share a file: {clash}")
        return static, dynamic, self._bootstrap(resources)

    def _inline(self, clusters: list, resources) -> None:
        """Of many EDS clusters, all but the first have their endpoints written into them."""
        by_name = {e.get("cluster_name"): e for e in resources.endpoints}
        for cluster in [c for c in clusters if c.get("type") == "EDS"][MOST_WATCHES:]:
            self.changes["EDS clusters made STATIC: Envoy watches each file with an inotify instance, which are few"] += 1
            name = cluster.pop("eds_cluster_config").get("service_name") or cluster["name"]
            cluster["type"] = "STATIC"
            assignment = by_name.get(name, {"cluster_name": name})
            cluster["load_assignment"] = self._clean(copy.deepcopy(assignment))

    def _bootstrap(self, resources) -> dict:
        out = {"bootstrap_extensions": [INTERNAL_LISTENER]}
        node = {k: v for k, v in resources.node.items() if k in ("id", "cluster", "locality", "metadata")}
        if node:
            out["node"] = node
        for key in ("layered_runtime", "cluster_manager"):
            if key in resources.bootstrap:
                out[key] = copy.deepcopy(resources.bootstrap[key])
        out.get("cluster_manager", {}).pop("outlier_detection", None)
        return out

    def _listener(self, listener: dict) -> dict:
        listener = self._clean(listener)
        for chain in listener.get("filter_chains", []) + [listener.get("default_filter_chain") or {}]:
            for network_filter in chain.get("filters", []):
                settings = network_filter.get("typed_config", {})
                if "rds" in settings:
                    settings["rds"]["config_source"] = config.source("routes", settings["rds"]["route_config_name"])
        return listener

    def _cluster(self, cluster: dict, resources) -> dict:
        cluster = self._clean(cluster)
        if cluster.get("type") in ("STRICT_DNS", "LOGICAL_DNS"):
            self._fix(cluster)
        if cluster.get("type") == "EDS":
            name = cluster.get("eds_cluster_config", {}).get("service_name")
            cluster["eds_cluster_config"] = {"eds_config": config.source("endpoints", name or cluster["name"])}
            if name:
                cluster["eds_cluster_config"]["service_name"] = name
        return cluster

    def _fix(self, cluster: dict) -> None:
        """A DNS cluster with addresses in place of names."""
        self.changes["DNS clusters made STATIC, with addresses made up"] += 1
        cluster["type"] = "STATIC"
        for key in ("dns_refresh_rate", "respect_dns_ttl", "dns_jitter", "dns_lookup_family", "dns_resolvers",
                    "typed_dns_resolver_config", "dns_failure_refresh_rate", "wait_for_warm_on_init"):
            cluster.pop(key, None)
        for locality in cluster.get("load_assignment", {}).get("endpoints", []):
            for number, endpoint in enumerate(locality.get("lb_endpoints", [])):
                socket = endpoint["endpoint"]["address"].get("socket_address", {})
                if not socket.get("address", "").replace(".", "").isdigit():
                    socket["address"] = f"10.251.{len(cluster['name']) % 250}.{number + 1}"

    def _clean(self, node):
        """Leaves out what can't run here, wherever it stands."""
        if isinstance(node, list):
            return [self._clean(item) for item in node]
        if not isinstance(node, dict):
            return node
        node.pop("@type", None) if node.get("@type", "").startswith(TYPE + "envoy.config.") else None
        out = {}
        for key, value in node.items():
            if key in _REPORTS and isinstance(value, (list, dict)):
                self.changes[f"{key} dropped"] += 1
                continue
            if key in _LISTS and isinstance(value, list):
                value = [item for item in value if self._stays(item)]
            if key == "typed_per_filter_config":
                value = {name: item for name, item in value.items() if self._is_known(item)}
            if key == "address" and isinstance(value, dict) and "pipe" in value:
                self.changes["sockets in the file system replaced by an address"] += 1
                value = {"socket_address": {"address": "10.251.250.1", "port_value": 80}}
            if key == "transport_socket":
                out[key] = self._socket(value)
                continue
            if key == "fixed_delay":
                self.changes["delays of faults shortened: a client waits for 3 s"] += 1
                value = "0.2s"
            if key == "factory_key" and value.startswith("istio."):
                self.changes["filter state objects of Istio's made plain strings"] += 1
                value = "envoy.string"
            out[key] = self._clean(value)
        return out

    def _stays(self, item: dict) -> bool:
        if not isinstance(item, dict) or "name" not in item:
            return True
        if "config_discovery" in item:
            self.changes[f"{item['name']} dropped: delivered apart (ECDS)"] += 1
            return False
        settings = item.get("typed_config", {})
        if _type(settings) in OPAQUE:
            self.changes[f"{item['name']} dropped: decides by code or a server that isn't here"] += 1
            return False
        if not self._is_known(settings):
            self.changes[f"{item['name']} dropped: not in this Envoy"] += 1
            return False
        return True

    def _is_known(self, settings: dict) -> bool:
        name = _type(settings)
        if not name:
            return True
        if name not in self.known:
            self.known[name] = typecheck.known(self.binary, TYPE + name)
        return self.known[name]

    def _socket(self, value: dict) -> dict:
        kind = _type(value.get("typed_config", {})).rpartition(".")[2]
        if kind == "UpstreamTlsContext":
            self.changes["TLS to upstreams made plain text: the echo server speaks none"] += 1
            return copy.deepcopy(RAW_BUFFER)
        if kind == "InternalUpstreamTransport":
            settings = value["typed_config"]
            settings["transport_socket"] = self._socket(settings.get("transport_socket", {}))
            return value
        if kind == "DownstreamTlsContext":
            self._downstream(value["typed_config"].get("common_tls_context", {}))
        return value

    def _downstream(self, common: dict) -> None:
        """Certificates by SDS from a file, in place of those of Istio's agent."""
        for item in common.get("tls_certificate_sds_secret_configs", []):
            self._secret(item, {"tls_certificate": {"certificate_chain": {"filename": "certs/server.pem"},
                                                    "private_key": {"filename": "certs/server.key"}}})
        for item in common.get("tls_certificates", []):
            self.changes["certificates in files replaced"] += 1
            item.clear()
            item.update({"certificate_chain": {"filename": "certs/server.pem"},
                         "private_key": {"filename": "certs/server.key"}})
        for holder in (common, common.get("combined_validation_context", {})):
            item = holder.get("validation_context_sds_secret_config")
            if item:
                self._secret(item, {"validation_context": {"trusted_ca": {"filename": "certs/ca.pem"}}})
            for key in ("validation_context", "default_validation_context"):
                if "trusted_ca" in holder.get(key, {}):
                    holder[key]["trusted_ca"] = {"filename": "certs/ca.pem"}

    def _secret(self, item: dict, content: dict) -> None:
        self.changes["secrets made, delivered by file"] += 1
        item["sds_config"] = config.source("secrets", item["name"])
        self.secrets[item["name"]] = {"name": item["name"], **content}


def _type(settings) -> str:
    """Full name of an extension's type, that of the content of a TypedStruct."""
    if not isinstance(settings, dict):
        return ""
    name = settings.get("@type", "")
    if name.endswith("TypedStruct"):
        name = settings.get("type_url", name)
    return name.removeprefix(TYPE)


def _asked_routes(listeners: list):
    for listener in listeners:
        for chain in listener.get("filter_chains", []) + [listener.get("default_filter_chain") or {}]:
            for network_filter in chain.get("filters", []):
                name = network_filter.get("typed_config", {}).get("rds", {}).get("route_config_name")
                if name:
                    yield name
