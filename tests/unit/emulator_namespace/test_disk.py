"""What a pod's disk shows of the machine and what it hides."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.emulator.runtimes import namespace_disk as disk


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for path in (
        "etc/ssh",
        "etc/ssl/private",
        "home/ada/project",
        "root",
        "run",
        "tmp",
        "usr/bin",
        "var/log",
        "srv2/x",
    ):
        (tmp_path / path).mkdir(parents=True)
    (tmp_path / "usr/sbin").symlink_to("bin")
    (tmp_path / "bin").symlink_to("usr/bin")
    for path in ("etc/ssh/ssh_host_rsa_key", "etc/ssh/sshd_config", "etc/machine-id", "notes.txt"):
        (tmp_path / path).touch()
    people = "ada:x:1000:1000::/home/ada:/bin/sh\n"
    passwd = f"root:x:0:0::/root:/bin/sh\n{people}nobody:x:65534:65534::/:/bin/false\n"
    (tmp_path / "etc/passwd").write_text(passwd, encoding="utf-8")
    (tmp_path / "etc/group").write_text("root:x:0:\nada:x:1000:\n", encoding="utf-8")
    (tmp_path / "etc/shadow").write_text("root:$6$abc:19000:0:99999:7:::\nada:$6$x:19000::::::\n", encoding="utf-8")
    return tmp_path


def _upper(root: Path, *private: str) -> disk.Upper:
    return disk.upper(root, private, "pod1", "10.213.0.2", "nameserver 9.9.9.9\n")


def test_homes_and_what_no_image_has_are_hidden(root: Path) -> None:
    what = _upper(root)
    assert {"home", "root", "run", "tmp", "srv2", "var/log", "etc/ssl/private"} == set(what.hidden)
    assert what.hidden["tmp"] == 0o1777
    assert what.hidden["root"] == 0o700


def test_host_keys_identity_and_stray_files_are_absent_and_the_rest_stays(root: Path) -> None:
    assert set(_upper(root).absent) == {"notes.txt", "etc/machine-id", "etc/ssh/ssh_host_rsa_key"}


def test_a_checkout_is_hidden_where_its_parents_are_not(root: Path) -> None:
    (root / "opt/checkout/.state").mkdir(parents=True)
    assert "opt/checkout" in _upper(root, "opt/checkout", "opt/checkout/.state").hidden
    assert "opt/checkout/.state" not in _upper(root, "opt/checkout", "opt/checkout/.state").hidden
    assert "home/ada/project" not in _upper(root, "home/ada/project").hidden


def test_private_files_named_by_the_environment_are_absent(root: Path) -> None:
    (root / "etc/kubeconfig").touch()
    assert "etc/kubeconfig" in _upper(root, "etc/kubeconfig").absent


def test_people_of_the_machine_and_passwords_are_not_in_a_pod(root: Path) -> None:
    files = {name: text for name, (text, _) in _upper(root).files.items()}
    assert files["etc/passwd"] == "root:x:0:0::/root:/bin/sh\nnobody:x:65534:65534::/:/bin/false\n"
    assert files["etc/group"] == "root:x:0:\n"
    assert files["etc/shadow"] == "root:*:19000:0:99999:7:::\n"
    assert "etc/gshadow" not in files


def test_the_pod_has_its_own_name_and_name_servers(root: Path) -> None:
    files = _upper(root).files
    assert files["etc/hostname"][0] == "pod1\n"
    assert "10.213.0.2\tpod1" in files["etc/hosts"][0]
    assert files["etc/resolv.conf"][0] == "nameserver 9.9.9.9\n"


def test_a_linked_directory_is_not_replaced(root: Path) -> None:
    assert "usr/bin/policy-rc.d" in _upper(root).files


def test_private_directories_are_the_given_ones_and_those_of_the_environment(tmp_path: Path) -> None:
    environ = {"HOME": str(tmp_path / "home"), "XDG_CACHE_HOME": "relative", "GOPATH": "/", "PATH": "/usr/bin"}
    found = disk.private_directories(environ, tmp_path / "checkout")
    assert found == tuple(str(tmp_path / name).lstrip("/") for name in ("checkout", "home"))


MOUNTINFO = """27 1 254:0 / / rw,relatime - ext4 /dev/vda rw
22 27 0:21 / /proc rw,relatime - proc proc rw
31 27 0:26 / /usr rw,relatime shared:1 - ext4 /dev/vdb rw
32 27 0:27 / /home rw,relatime - ext4 /dev/vdc rw
33 27 0:28 / /var/lib/docker/overlay2/x/merged rw - overlay overlay rw
34 27 0:29 / /opt/two\\040words rw,relatime - xfs /dev/vdd rw
35 27 0:30 / /var/cache rw - tmpfs tmpfs rw
"""


def test_file_systems_that_are_part_of_the_root_are_overlaid_too() -> None:
    assert disk.submounts(MOUNTINFO, ["var/lib/docker"]) == ["opt/two words", "usr"]
