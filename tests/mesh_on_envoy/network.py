"""A namespace in which every address is local, and every connection ends at an echo server.

`lo` takes all addresses for its own, so listeners, clients and endpoints keep the addresses that istiod gave them. Who
dials decides what becomes of a connection, in place of the user id that Istio's iptables rules go by:

    10.250.1.0/24     the proxy's application: redirected to 15001
    10.250.2.0/24     clients of the application: redirected to 15006
    198.51.100.0/24   clients of a gateway, or of a port that isn't redirected
    anyone else       the proxy itself: its upstream connections are redirected to the echo server
"""

from __future__ import annotations

import ipaddress
import subprocess

from oracle.config import ADMIN_PORT

APPLICATION, PEERS, OUTSIDE = "10.250.1.0/24", "10.250.2.0/24", "198.51.100.0/24"
OUTBOUND_PORT, INBOUND_PORT, TUNNEL_PORT = 15001, 15006, 15008
ECHO_PORT, TUNNEL_END_PORT = 19001, 19008

#: As scenarios say it: what the tracer is told of a request.
REDIRECTS = [{"saddr": APPLICATION, "to": OUTBOUND_PORT}, {"saddr": PEERS, "to": INBOUND_PORT}]

_RULES = f"""
table ip mesh {{
  chain out {{
    type nat hook output priority -100;
    ip saddr {OUTSIDE} accept
    ip saddr {APPLICATION} meta l4proto tcp redirect to :{OUTBOUND_PORT}
    ip saddr {PEERS} meta l4proto tcp redirect to :{INBOUND_PORT}
    ip saddr 127.0.0.1 ip daddr 127.0.0.1 tcp dport {{ {ADMIN_PORT}, {ECHO_PORT} }} accept
    tcp dport {TUNNEL_PORT} redirect to :{TUNNEL_END_PORT}
    meta l4proto tcp redirect to :{ECHO_PORT}
  }}
}}
table ip6 mesh {{
  chain out {{
    type nat hook output priority -100;
    meta l4proto tcp redirect to :{OUTBOUND_PORT}
  }}
}}
"""


def prepare() -> None:
    """Makes every address local and loads the rules; the process is in its own namespace already."""
    for family in ("-4", "-6"):
        subprocess.run(["ip", family, "route", "add", "local", "default", "dev", "lo"], check=True)
    subprocess.run(["nft", "-f", "-"], input=_RULES, text=True, check=True)


def source(redirected_to: int | None, rng) -> str:
    """An address to dial from, for a connection that is redirected to that port."""
    network = {OUTBOUND_PORT: APPLICATION, INBOUND_PORT: PEERS}.get(redirected_to, OUTSIDE)
    return str(ipaddress.ip_network(network)[rng.randint(5, 200)])
