"""The resources of a saved /config_dump (or of istiod's answer), in snake_case, states and versions left aside."""

from __future__ import annotations

import dataclasses
import json
import pathlib
import re


@dataclasses.dataclass
class Resources:
    """What a proxy was sent; of each kind the resources in force."""

    node: dict = dataclasses.field(default_factory=dict)
    bootstrap: dict = dataclasses.field(default_factory=dict)
    static_clusters: list = dataclasses.field(default_factory=list)
    static_listeners: list = dataclasses.field(default_factory=list)
    listeners: list = dataclasses.field(default_factory=list)
    clusters: list = dataclasses.field(default_factory=list)
    routes: list = dataclasses.field(default_factory=list)
    endpoints: list = dataclasses.field(default_factory=list)

    @property
    def own_address(self) -> str:
        """Address of the proxy's pod: the second part of Istio's node id."""
        parts = self.node.get("id", "").split("~")
        return parts[1] if len(parts) > 1 else "10.244.250.250"

    def all_listeners(self) -> list:
        return self.static_listeners + self.listeners

    def captures(self, port: int) -> bool:
        """Whether connections are redirected to this port, as by Istio's iptables rules."""
        return any(port_of(listener) == port for listener in self.listeners)

    def route_config(self, name: str) -> dict | None:
        return next((r for r in self.routes if r.get("name") == name), None)


def load(path: pathlib.Path) -> Resources:
    out = Resources()
    for section in _snake(json.loads(path.read_text()))["configs"]:
        bootstrap = section.get("bootstrap", {})
        if bootstrap:
            out.bootstrap, out.node = bootstrap, bootstrap.get("node", {})
        out.static_clusters += [e["cluster"] for e in section.get("static_clusters", [])]
        out.clusters += [e["cluster"] for e in section.get("dynamic_active_clusters", [])]
        out.static_listeners += [e["listener"] for e in section.get("static_listeners", [])]
        out.listeners += [e["active_state"]["listener"] for e in section.get("dynamic_listeners", [])
                          if "active_state" in e]
        # Routes written into a listener are listed apart, too.
        out.routes += [e["route_config"] for e in section.get("dynamic_route_configs", [])]
        out.endpoints += [e["endpoint_config"] for e in section.get("dynamic_endpoint_configs", [])]
    return out


def port_of(listener: dict) -> int | None:
    return listener.get("address", {}).get("socket_address", {}).get("port_value")


def address_of(listener: dict) -> str | None:
    return listener.get("address", {}).get("socket_address", {}).get("address")


def chains_of(listener: dict) -> list:
    default = listener.get("default_filter_chain")
    return listener.get("filter_chains", []) + ([default] if default else [])


def strings(node):
    """Every string in a document."""
    if isinstance(node, str):
        yield node
    elif isinstance(node, dict):
        for value in node.values():
            yield from strings(value)
    elif isinstance(node, list):
        for value in node:
            yield from strings(value)


# Keys of maps that users and extensions name: they aren't fields.
_MAPS = {"metadata", "filter_metadata", "typed_filter_metadata", "typed_per_filter_config", "policies", "labels",
         "typed_extension_protocol_options", "static_layer", "matcher_map", "exact_match_map", "map", "value",
         "requirement_map", "providers", "tags", "typed_extension_configs"}


def _snake(node, is_field: bool = True):
    """lowerCamelCase field names, as istiod writes them, in Envoy's own spelling."""
    if isinstance(node, list):
        return [_snake(item, is_field) for item in node]
    if not isinstance(node, dict):
        return node
    out = {}
    for key, value in node.items():
        name = re.sub(r"[A-Z]", lambda c: "_" + c.group().lower(), key) if is_field and key.isidentifier() else key
        out[name] = _snake(value, name not in _MAPS)
    return out
