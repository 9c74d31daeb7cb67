"""What ComfyUI's user can reach on a pod, tried from a process of that user."""

from __future__ import annotations

import json
from typing import Any

from tests.e2e.checkout import Checkout

# Runs in the pod as root. It starts its second half as supervisord starts ComfyUI: that user, behind the same launcher.
INTRUDER = r"""
import configparser, glob, json, os, shlex, subprocess, time
home, local, run = "/persistent/volume/comfyui-runpod", "/srv/comfyui-runpod", "/run/comfyui-runpod"
venv, = glob.glob(local + "/venvs/gateway-*")
control = [venv + "/bin/python", "-m", "supervisor.supervisorctl", "-c", run + "/supervisord.conf"]
config = configparser.RawConfigParser()
config.read(run + "/supervisord.conf")
command = shlex.split(config["program:comfyui"]["command"].replace("%%", "%"))
launcher = command[:command.index("--") + 1]

CHILD = '''
import glob, json, os, socket, sys, time
from contextlib import suppress
home, local, run = sys.argv[1:4]
told = json.load(sys.stdin)
own = [local + "/base/" + name for name in ("input", "output", "temp", "user")]

def content(path):
    try:
        with open(path, "rb") as file:
            return file.read(1 << 20)
    except OSError:
        return b""

def environments(ours):
    found = []
    for pid in os.listdir("/proc"):
        with suppress(OSError):
            if pid.isdigit() and (os.stat("/proc/" + pid).st_uid == 10001) is ours:
                found.append("/proc/%s/environ" % pid)
    return found

def opens(path):
    try:
        os.close(os.open(path, os.O_WRONLY))
        return True
    except OSError:
        return False

def could(action, *arguments):
    try:
        action(*arguments)
        return True
    except OSError:
        return False

def plants(folder):
    name = folder + "/planted"
    done = could(lambda: open(name, "w").close()) or could(os.mkdir, name + ".d")
    return done

def writes():
    inside = [path for path in told["folders"] if not any(path == o or path.startswith(o + "/") for o in own)]
    files = [path for path in told["files"] if not any(path.startswith(o + "/") for o in own)]
    found = [path for path in inside if plants(path)]
    found += [path for path in files if opens(path) or could(os.truncate, path, 0)]
    return found + [path for path in files + inside if could(os.rename, path, own[1] + "/moved")]

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

secret = ["/proc/1/environ", "/etc/shadow", *environments(ours=False)]
secret += [path for path in told["files"] if not path.startswith(tuple(told["open"]))]
closed = [path for path in told["folders"] if path.startswith("/persistent") and path not in told["open"]]
seen = {
    "user": os.getuid(), "reads": [path for path in secret if content(path)], "writes": writes(),
    "lists": [path for path in closed if could(os.listdir, path)],
    "models": sum(1 for path in glob.glob(local + "/base/models/*/*") if content(path)),
    "key": any(b"RUNPOD_API_KEY" in content(path) for path in environments(ours=True)),
}
print(json.dumps(seen | {"steals": steals(8189)}))
'''

PUBLIC = ("dpkg.log", "apt.log")

def tree():
    files, folders = [], []
    for top in ("/persistent", local, run):
        for folder, _, names in os.walk(top):
            folders.append(folder)
            files += [folder + "/" + name for name in names if os.path.isfile(folder + "/" + name)]
    # What may be read: models, and what ComfyUI runs from. The gateway's programs are no secret either.
    parts = ("/base/", "/sources/", "/venvs/", "/models/", "/bundle/", "/boot/")
    return {"files": files, "folders": folders, "open": [home + "/models/store", *(local + part for part in parts),
            *(run + "/" + name for name in PUBLIC)]}

def is_confined():
    states = []
    for pid in os.listdir("/proc"):
        try:
            if pid.isdigit() and os.stat("/proc/" + pid).st_uid in (10001, 10002):
                states.append(open("/proc/%s/status" % pid).read())
        except OSError:
            pass
    return bool(states) and all("NoNewPrivs:\t1" in state for state in states)

told = tree()
child = subprocess.Popen(
    [*launcher, "/usr/bin/python3", "-c", CHILD, home, local, run], user=10001, group=10001, extra_groups=[],
    stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=local + "/base")
child.stdin.write(json.dumps(told)); child.stdin.close()
time.sleep(2)
subprocess.run([*control, "restart", "gateway"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
seen = json.loads(child.stdout.read())
# A gateway that starts begins another epoch of its log, and removes the former one.
own = (home + "/gateway-log/", home + "/files/.drafts/")
lost = [path for path in set(told["files"]) - set(tree()["files"]) if not path.startswith(own)]
print(json.dumps(seen | {"confined": is_confined(), "lost": [path for path in lost if path.startswith("/persistent")]}))
"""


def run(checkout: Checkout) -> None:
    """Fail when ComfyUI's user can do on the running pod what it is not meant to."""
    (checkout.path / ".state" / "intruder.py").write_text(INTRUDER, encoding="utf-8")
    line = 'make -s ssh CMD="cd / && exec /usr/bin/python3 -" < .state/intruder.py'
    done = checkout.shell(line)
    assert done.code == 0, done.text
    check_report(json.loads(done.out))


def check_report(seen: Any) -> None:  # noqa: ANN401  (what the intruder reports)
    """Fail when the intruder reports anything that it could do, or that it could not read models."""
    assert seen.pop("models") > 0
    expected = {
        "user": 10001, "reads": [], "writes": [], "lists": [], "key": False, "steals": False, "confined": True,
        "lost": [],
    }  # fmt: skip
    breaches = {name: seen[name] for name in expected if seen[name] != expected[name]}
    assert not breaches, f"ComfyUI's user could do what it must not, or the isolation is not as reported: {breaches}"
