"""What ComfyUI's user, as whom custom nodes run, can reach on a pod: tried from inside, as that user."""

from __future__ import annotations

import json
from typing import Any

from tests.e2e.checkout import Checkout

# Runs in the pod as root, becomes ComfyUI's user, and reports what it could do.
INTRUDER = """
import glob, json, os, socket, subprocess, threading, time
home, run = "/persistent/volume/comfyui-runpod", "/run/comfyui-runpod"
venv, = glob.glob(home + "/venvs/gateway-*")
control = [venv + "/bin/python", "-m", "supervisor.supervisorctl", "-c", run + "/supervisord.conf"]

def become():
    os.setgroups([]); os.setgid(10001); os.setuid(10001)

def content(path):
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError:
        return b""

def environments(ours):
    pids = [pid for pid in os.listdir("/proc") if pid.isdigit()]
    return ["/proc/%s/environ" % pid for pid in pids if (os.stat("/proc/" + pid).st_uid == 10001) is ours]

def reads():
    paths = ["/proc/1/environ", "/etc/shadow", home + "/services.json", home + "/gateway/gateway.db"]
    paths += [run + "/" + name for name in ("environ", "gateway.json", "supervisord.conf", "job.lock", "ssh/host_key")]
    return [path for path in paths + environments(ours=False) if content(path)]

def writes():
    own = [home + "/base/" + name for name in ("input", "output", "temp", "user")]
    found = []
    for top in ("/persistent/volume", run):
        for folder, folders, files in os.walk(top):
            if folder in own:
                folders.clear()
                continue
            paths = [folder, *(folder + "/" + name for name in files)]
            found += [path for path in paths if not os.path.islink(path) and os.access(path, os.W_OK)]
    return found

def steals(port):
    end = time.monotonic() + 8
    while time.monotonic() < end:
        with socket.socket() as thief:
            for option in (socket.SO_REUSEADDR, socket.SO_REUSEPORT):
                thief.setsockopt(socket.SOL_SOCKET, option, 1)
            try:
                thief.bind(("0.0.0.0", port))
                return True
            except OSError:
                time.sleep(0.0005)
    return False

def is_confined():
    pids = [pid for pid in os.listdir("/proc") if pid.isdigit() and os.stat("/proc/" + pid).st_uid in (10001, 10002)]
    states = [content("/proc/%s/status" % pid) for pid in pids]
    return bool(states) and all(b"NoNewPrivs:\\t1" in state for state in states)

confined = is_confined()
reader, writer = os.pipe()
if os.fork() == 0:
    become()
    key = any(b"RUNPOD_API_KEY" in content(path) for path in environments(ours=True))
    seen = {"reads": reads(), "writes": writes(), "key": key}
    os.write(writer, json.dumps(seen | {"steals": steals(8189)}).encode())
    os._exit(0)
os.close(writer)
time.sleep(1)
subprocess.run([*control, "restart", "gateway"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
with os.fdopen(reader) as told:
    print(json.dumps(json.loads(told.read()) | {"confined": confined}))
"""


def hold(checkout: Checkout) -> None:
    """Fail when ComfyUI's user can do on the running pod what it is not meant to."""
    assert _tried(checkout) == {"reads": [], "writes": [], "key": False, "steals": False, "confined": True}


def _tried(checkout: Checkout) -> Any:  # noqa: ANN401  (what the intruder reports)
    (checkout.path / ".state" / "intruder.py").write_text(INTRUDER, encoding="utf-8")
    line = 'make -s ssh CMD="cd / && exec /usr/bin/python3 -" < .state/intruder.py'
    done = checkout.shell(line)
    assert done.code == 0, done.text
    return json.loads(done.out)
