"""What a receipt says."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from components.runpod.api.errors import AccessDeniedError
from components.runpod.api.models import BillingRecord
from components.runpod.inventory import AccountResource
from stacks.cli.checkout import Checkout
from stacks.cli.reports import ended_pods, receipt
from stacks.cli.reports.receipt import CostItem, ReceiptLine
from tests.unit.stacks.cli.listed_resources import OTHERS, OURS, a_pod, a_volume

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
GPU = {"id": "NVIDIA RTX A5000", "count": 1}
STATE = {"resources": [{"type": "runpod:index:NetworkVolume", "id": "v1", "created": "2026-11-12T12:00:00.123456789Z"}]}
POD = a_pod("p1", OURS.name("g"), gpu=GPU, cost=0.27, disk=73, createdAt="2026-11-22T09:30:00Z")
VOLUME = a_volume("v1", OURS.name("m"), 100)


def test_everything_with_the_marker_is_metered_with_its_age() -> None:
    ended = a_pod("p2", OURS.name("g"), status="TERMINATED")
    pods, volumes = [POD, ended, a_pod("p3", OTHERS.name("g"))], [VOLUME, a_volume("v2")]
    pod, volume = receipt.meter(pods, volumes, STATE, {OURS.instance})
    assert (pod.id, pod.what) == ("p1", "1 x NVIDIA RTX A5000")
    assert pod.usd_per_hour == pytest.approx(0.28)
    assert pod.usd(NOW) == pytest.approx(0.7)
    assert volume.id == "v1"
    assert volume.usd(NOW) == pytest.approx(240 * 7 / 730, rel=1e-3)


def test_the_receipt_names_time_price_both_sums_and_what_is_not_billed_yet() -> None:
    pod, volume = receipt.meter([POD], [VOLUME], STATE, {OURS.instance})
    text = "\n".join(receipt.lines([ReceiptLine(pod), ReceiptLine(volume, 2.5)], NOW))
    assert "pod p1 (1 x NVIDIA RTX A5000): 2 h 30 min at $0.2800/h = $0.7000; not yet billed" in text
    assert "volume v1 (100 GB): 10 d 0 h 0 min at $0.0096/h = $2.3014; $2.5000 billed by RunPod so far" in text
    assert text.endswith("total $3.0014 by this project's meter")


def test_an_unknown_time_is_reported() -> None:
    stopped = CostItem("pod", "p1", "CPU", 0.1, NOW, stopped=True)
    old = CostItem("volume", "v1", "10 GB", 0.001, None)
    text = "\n".join(receipt.lines([ReceiptLine(stopped), ReceiptLine(old)], NOW))
    assert "stopped at times" in text
    assert "since an unknown time at $0.0010/h" in text
    assert text.endswith("total $0.0000 by this project's meter, without resources whose time is unknown")
    assert receipt.lines([], NOW) == ["receipt: nothing was running"]


@pytest.mark.parametrize(
    ("uptime", "hours"), [(3600 * 3, 1), (60, 0)], ids=["RunPod's clock is ahead", "the container was restarted"]
)
def test_time_is_runpods(uptime: int, hours: int) -> None:
    pod = a_pod("p1", runtime={"uptime": uptime}, startedAt="2026-11-22T10:00:00Z")
    assert receipt.clock_lead([pod, a_pod("p2")], NOW) == timedelta(hours=hours)


class Billing:
    """RunPod's bill, of which some is missing and some is forbidden."""

    def bill_of_pod(self, pod_id: str, since: str) -> list[BillingRecord]:
        assert since == "2026-11-22T09:30:00Z"
        return [BillingRecord(totalAmount=0.25), BillingRecord(totalAmount=0.5)]

    def bill_of_network_volume(self, volume_id: str, since: str) -> list[BillingRecord]:
        if volume_id == "forbidden":
            raise AccessDeniedError("GET", "no")
        return []

    def bill_of_endpoint(self, endpoint_id: str, since: str) -> list[BillingRecord]:
        assert endpoint_id == "e1"
        assert since < "2026-12"
        return [BillingRecord(totalAmount=0.125)]


def test_an_endpoint_is_on_the_receipt_with_runpods_bill_alone() -> None:
    endpoints = [AccountResource("endpoint", "e1", OURS.name("x")), AccountResource("endpoint", "theirs", "by-hand")]
    things = receipt.meter([], [], STATE, {OURS.instance}, endpoints)
    (messages,) = [line for line in receipt.lines(receipt.add_billed(Billing(), things), NOW) if "e1" in line]  # type: ignore[arg-type]
    assert "only RunPod's bill shows what its workers cost; $0.1250 billed by RunPod so far" in messages


def test_runpods_bill_is_added_where_it_is_there_and_stops_nothing() -> None:
    things = receipt.meter([POD], [VOLUME], STATE, {OURS.instance})
    things.append(CostItem("volume", "forbidden", "10 GB", 0.1, None))
    entries = receipt.add_billed(Billing(), things)  # type: ignore[arg-type]
    assert [entry.billed for entry in entries] == [0.75, None, None]


def test_pods_that_a_pause_has_ended_are_noted_until_the_environment_is_gone(tmp_path: Path) -> None:
    checkout = Checkout(tmp_path, "dev")
    assert ended_pods.read(checkout) == []
    [pod, _] = receipt.meter([POD], [VOLUME], STATE, {OURS.instance})
    ended_pods.note(checkout, [pod], NOW - timedelta(hours=2))
    ended_pods.note(checkout, [pod], NOW - timedelta(hours=1))
    ended_pods.note(checkout, [CostItem("pod", "p0", "CPU", 0.1, None)], NOW)
    first, second = ended_pods.read(checkout)
    assert first.usd(NOW) == pytest.approx(0.28 * 1.5), "it costs nothing after its end"
    text = "\n".join(receipt.lines([ReceiptLine(first), ReceiptLine(second)], NOW))
    assert "pod p1 (1 x NVIDIA RTX A5000, ended by a pause): 1 h 30 min at $0.2800/h = $0.4200" in text
    assert ended_pods.read(Checkout(tmp_path, "prod")) == []
    ended_pods.forget(checkout)
    assert ended_pods.read(checkout) == []
