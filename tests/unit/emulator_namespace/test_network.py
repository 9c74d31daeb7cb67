"""Which addresses, names and packet-filter rules a pod's network gets."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

import pytest

from tests.emulator.runtimes import RuntimeFailureError
from tests.emulator.runtimes import namespace_network as network

SUBNETS = [IPv4Network("10.213.0.0/30"), IPv4Network("10.213.0.4/30")]


def test_the_first_pod_gets_the_first_subnet() -> None:
    assert network.free_subnet([IPv4Network("192.0.2.0/24")]) == SUBNETS[0]


def test_a_subnet_overlaps_no_other_pod_and_no_route_of_the_machine() -> None:
    assert network.free_subnet([SUBNETS[0]]) == SUBNETS[1]
    assert network.free_subnet([IPv4Network("10.0.0.0/8")]) == IPv4Network("172.30.192.0/30")


def test_no_subnet_left_says_what_to_do() -> None:
    everything = [IPv4Network("10.0.0.0/8"), IPv4Network("172.16.0.0/12"), IPv4Network("192.168.0.0/16")]
    with pytest.raises(RuntimeFailureError, match="remove one of them"):
        network.free_subnet(everything)


def test_both_ends_of_a_subnet() -> None:
    assert network.machine_side(SUBNETS[1]) == IPv4Address("10.213.0.5")
    assert network.pod_side(SUBNETS[1]) == IPv4Address("10.213.0.6")


def test_a_link_is_named_for_its_emulator_and_pod_within_the_kernels_limit() -> None:
    owner = network.owner_tag(Path("/srv/state"))
    names = {network.link_name(owner, pod_id) for pod_id in ("abc", "abd", "x" * 60)}
    assert len(names) == 3
    assert all(name.startswith(network.PREFIX + owner) and len(name) <= 15 for name in names)


def test_two_emulators_have_links_and_tables_of_their_own() -> None:
    one, other = (network.owner_tag(Path(path)) for path in ("/srv/one", "/srv/other"))
    assert network.table_name(one) != network.table_name(other)


def test_without_pods_the_table_is_deleted_and_not_made_again() -> None:
    assert network.rules("abcde", [], ["eth0"]) == "add table inet crp_abcde\ndelete table inet crp_abcde\n"


def test_rules_let_answers_out_and_nothing_in() -> None:
    lines = [line.strip() for line in network.rules("abcde", SUBNETS, []).splitlines()]
    assert lines[:2] == ["add table inet crp_abcde", "delete table inet crp_abcde"]
    forward = lines[lines.index("chain forward {") : lines.index("chain postrouting {")]
    assert 'iifname "crpabcde*" oifname "crp*" drop' in forward
    assert forward.index('oifname "crpabcde*" ct state established,related accept') + 1 == forward.index(
        'oifname "crpabcde*" drop'
    )
    assert 'iifname "crpabcde*" ip daddr 169.254.0.0/16 drop' in forward
    machine = lines[lines.index("chain input {") : lines.index("chain forward {")]
    assert machine[-2:] == ['iifname "crpabcde*" drop', "}"]
    assert 'ip saddr { 10.213.0.2, 10.213.0.6 } oifname != "crp*" masquerade' in lines


def test_an_interface_that_forwarded_nothing_before_forwards_nothing_but_our_answers() -> None:
    assert 'iifname "ens3" ct state new ct status & dnat == 0 drop' in network.rules("abcde", SUBNETS, ["ens3"])


def test_a_resolver_on_the_machines_loopback_is_no_use_to_a_pod() -> None:
    stub = "nameserver 127.0.0.53\noptions edns0\n"
    real = "nameserver 9.9.9.9\nnameserver ::1\nsearch example.org\n"
    assert network.resolver([stub, real]) == "nameserver 9.9.9.9\nsearch example.org\n"
    assert network.resolver([stub]) == ""
