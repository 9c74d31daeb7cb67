"""The networks of one emulator's pods: their subnets and their rules on the machine."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import IPv4Network
from pathlib import Path

from tests.emulator.runtimes import namespace_network as network
from tests.emulator.runtimes.namespace_machine import MachineRecord


class Wiring:
    """Connects pods and takes everything back with the last one; changes the machine only under its lock."""

    def __init__(self, state: Path, machine: MachineRecord) -> None:
        self._owner = network.owner_tag(state)
        self._machine = machine
        self._subnets: dict[str, IPv4Network] = {}

    @contextmanager
    def reserve(self, pod_id: str) -> Iterator[IPv4Network]:
        """Keep a free subnet for a pod, which `connect` is called for inside; an error gives it back."""
        with self._machine.lock():
            subnet = network.free_subnet([*network.networks_in_use(), *self._subnets.values()])
            self._subnets[pod_id] = subnet
            try:
                yield subnet
            except BaseException:
                self._take_back(pod_id)
                raise

    def connect(self, pod_id: str, pid: int) -> str:
        """Connect the namespace of process `pid` by the subnet reserved, and return the interface's name."""
        link = network.link_name(self._owner, pod_id)
        self._machine.open_the_way_out(network.uplinks())
        network.apply_rules(self._owner, self._subnets, self._machine.guarded())
        network.connect(link, self._subnets[pod_id], pid)
        return link

    def disconnect(self, pod_id: str) -> None:
        """Take a pod's interface and rules away; with the last pod, all that was changed on the machine."""
        with self._machine.lock():
            self._take_back(pod_id)

    def adopt(self, subnets: dict[str, IPv4Network]) -> None:
        """Take up the pods that still run, and take away what is left of others that nobody knows any more."""
        with self._machine.lock():
            self._subnets = dict(subnets)
            known = {network.link_name(self._owner, pod_id) for pod_id in subnets}
            for link in network.links(network.PREFIX + self._owner):
                if link not in known:
                    network.disconnect(link)
            self._settle()

    def address(self, pod_id: str) -> str:
        """Return a connected pod's address; raises KeyError for any other."""
        return str(network.pod_side(self._subnets[pod_id]))

    def forget(self) -> None:
        """Forget the pods without touching them."""
        self._subnets.clear()

    def _take_back(self, pod_id: str) -> None:
        self._subnets.pop(pod_id, None)
        network.disconnect(network.link_name(self._owner, pod_id))
        self._settle()

    def _settle(self) -> None:
        network.apply_rules(self._owner, self._subnets, self._machine.guarded())
        links = network.links()
        for table in network.tables():
            # Another emulator that was killed together with its pods: its table serves nobody.
            owner = table.removeprefix(f"{network.PREFIX}_")
            if not any(link.startswith(network.PREFIX + owner) for link in links):
                network.delete_table(table)
        if not links:
            self._machine.restore()
