"""A pod's network: one veth pair and one /30 of its own, masquerading out, nothing in but what the emulator connects.

The first half decides and is pure; the second half runs `ip` and `nft`.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
from collections.abc import Iterable, Mapping
from ipaddress import IPv4Address, IPv4Network, ip_address, ip_network
from itertools import chain
from pathlib import Path
from typing import Any

from tests.emulator.runtimes import RuntimeFailureError

PREFIX = "crp"
"""Every interface and table of ours begins so; a name of an interface has 15 characters at most."""

POD_INTERFACE = "eth0"

# Private ranges that clouds, container engines and home routers seldom use, tried in this order.
_POOLS = tuple(IPv4Network(pool) for pool in ("10.213.0.0/16", "172.30.192.0/18", "192.168.213.0/24"))
_RESOLVERS = (Path("/etc/resolv.conf"), Path("/run/systemd/resolve/resolv.conf"))


def owner_tag(state: Path) -> str:
    """Return the five characters that tell one emulator's interfaces and rules from another's."""
    return hashlib.sha256(str(state).encode()).hexdigest()[:5]


def link_name(owner: str, pod_id: str) -> str:
    """Return the name of a pod's interface on the machine's side."""
    return f"{PREFIX}{owner}{hashlib.sha256(pod_id.encode()).hexdigest()[:6]}"


def table_name(owner: str) -> str:
    """Return the name of the packet-filter table that holds all rules of one emulator."""
    return f"{PREFIX}_{owner}"


def free_subnet(taken: Iterable[IPv4Network]) -> IPv4Network:
    """Return the first /30 that overlaps nothing the machine or another pod uses."""
    used = list(taken)
    candidates = chain.from_iterable(pool.subnets(new_prefix=30) for pool in _POOLS)
    for candidate in candidates:
        if not any(candidate.overlaps(network) for network in used):
            return candidate
    pools = ", ".join(str(pool) for pool in _POOLS)
    raise RuntimeFailureError(f"no free /30 for a pod: the machine's routes cover all of {pools}; remove one of them")


def machine_side(subnet: IPv4Network) -> IPv4Address:
    """Return the machine's address in a pod's subnet: the pod's gateway."""
    return subnet[1]


def pod_side(subnet: IPv4Network) -> IPv4Address:
    """Return the pod's own address."""
    return subnet[2]


def rules(owner: str, subnets: Iterable[IPv4Network], guarded: Iterable[str]) -> str:
    """Return the rule set of one emulator, replacing the one before in a single transaction; empty without pods.

    `guarded` are interfaces that forwarded nothing before us: what comes in there is still forwarded nowhere.
    """
    table, mine, pods = table_name(owner), f'"{PREFIX}{owner}*"', ", ".join(str(pod_side(net)) for net in subnets)
    replace = f"add table inet {table}\ndelete table inet {table}\n"
    if not pods:
        return replace
    # `dnat` is left alone: somebody published that port on purpose, with a container engine for instance.
    guards = "\n".join(f'    iifname "{name}" ct state new ct status & dnat == 0 drop' for name in guarded)
    return f"""{replace}table inet {table} {{
  chain input {{
    type filter hook input priority -10; policy accept;
    iifname {mine} ct state established,related accept
    iifname {mine} drop
  }}
  chain forward {{
    type filter hook forward priority -10; policy accept;
    iifname {mine} oifname "{PREFIX}*" drop
    iifname {mine} ip saddr != {{ {pods} }} drop
    iifname {mine} ip daddr 169.254.0.0/16 drop
    iifname {mine} meta nfproto ipv6 drop
    oifname {mine} ct state established,related accept
    oifname {mine} drop
{guards}
  }}
  chain postrouting {{
    type nat hook postrouting priority 100; policy accept;
    ip saddr {{ {pods} }} oifname != "{PREFIX}*" masquerade
  }}
}}
"""


def resolver(texts: Iterable[str]) -> str:
    """Return the first resolv.conf whose name servers a pod can reach: one on the machine's loopback it cannot."""
    for text in texts:
        lines = text.splitlines()
        kept = [line for line in lines if not _is_loopback_nameserver(line)]
        if any(line.startswith("nameserver") for line in kept):
            return "\n".join(kept) + "\n"
    return ""


def _is_loopback_nameserver(line: str) -> bool:
    words = line.split()
    return len(words) > 1 and words[0] == "nameserver" and ip_address(words[1].partition("%")[0]).is_loopback


def machine_resolver() -> str:
    """Return what a pod's /etc/resolv.conf shall hold."""
    return resolver(path.read_text(encoding="utf-8") for path in _RESOLVERS if path.exists())


def networks_in_use() -> list[IPv4Network]:
    """Return every IPv4 network the machine has a route to, its own addresses and name servers included."""
    routes = [str(route["dst"]) for route in _ip_json("-4", "route", "show", "table", "all")]
    servers = [line.split()[1] for line in machine_resolver().splitlines() if line.startswith("nameserver ")]
    texts = [text for text in routes + servers if text != "default" and ":" not in text]
    return [network for text in texts if isinstance(network := ip_network(text, strict=False), IPv4Network)]


def uplinks() -> list[str]:
    """Return the interfaces that lead out of this machine."""
    return sorted({str(route["dev"]) for route in _ip_json("-4", "route", "show", "default") if "dev" in route})


def links(prefix: str = PREFIX) -> list[str]:
    """Return the interfaces of ours, of one emulator when the prefix holds its tag."""
    names = [str(link["ifname"]) for link in _ip_json("link", "show")]
    return [name for name in names if name.startswith(prefix)]


def tables() -> list[str]:
    """Return the packet-filter tables of all emulators on this machine."""
    names = [line.split()[-1] for line in _run(["nft", "list", "tables", "inet"]).splitlines()]
    return [name for name in names if name.startswith(f"{PREFIX}_")]


def connect(link: str, subnet: IPv4Network, pid: int) -> None:
    """Make the pair of interfaces, one end in the network namespace of process `pid`, and bring both up."""
    inside = POD_INTERFACE
    outside = [
        f"link add {link} type veth peer name {inside} netns {pid}",
        # Without a link-local IPv6 address nobody reaches the machine past the IPv4 rules.
        f"link set {link} addrgenmode none",
        f"addr add {machine_side(subnet)}/30 dev {link}",
        f"link set {link} up",
    ]
    _run(["ip", "-batch", "-"], "\n".join(outside))
    within = [
        f"link set {inside} addrgenmode none",
        f"addr add {pod_side(subnet)}/30 dev {inside}",
        f"link set {inside} up",
        "link set lo up",
        f"route add default via {machine_side(subnet)}",
    ]
    _run(["nsenter", f"--net=/proc/{pid}/ns/net", "ip", "-batch", "-"], "\n".join(within))
    # A setting of the interface itself: it goes away with it.
    Path(f"/proc/sys/net/ipv4/conf/{link}/forwarding").write_text("1", encoding="ascii")


def disconnect(link: str) -> None:
    """Delete a pod's pair of interfaces; fine when the pod's end took it along."""
    subprocess.run(["ip", "link", "delete", link], check=False, capture_output=True)


def apply_rules(owner: str, subnets: Mapping[str, IPv4Network], guarded: Iterable[str]) -> None:
    """Put one emulator's rules into force; with no pods its table is gone."""
    _run(["nft", "-f", "-"], rules(owner, subnets.values(), guarded))


def delete_table(table: str) -> None:
    """Delete a table of ours; fine when it is gone."""
    subprocess.run(["nft", "delete", "table", "inet", table], check=False, capture_output=True)


def _ip_json(*arguments: str) -> list[dict[str, Any]]:
    text = _run(["ip", "-json", *arguments])
    return [entry for entry in json.loads(text or "[]") if entry]


def _run(command: list[str], text: str = "") -> str:
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeFailureError(f"{' '.join(command)} failed while setting up a pod's network: {done.stderr.strip()}")
    return done.stdout
