# Runs at every container start: first boot, stop/start, migration. Only the volume survives those. It starts an SSH
# server for the stack's key, then runs the installed services for the lifetime of the container. It never ends by
# itself, because a pod without SSH cannot be repaired. Files on the volume are not trusted: they are copied and their
# keyed hash is verified before they are used (provisioning.vault.signed).
set -u
umask 022
root=${POD_ROOT:-}
run=$root/run/comfyui-runpod
local=$root/srv/comfyui-runpod
parent=$root/persistent
home=$parent/volume/comfyui-runpod
key=${COMFYUI_VOLUME_KEY:-}
say() { printf '%s boot: %s\n' "$(date -u +%H:%M:%S)" "$*"; }

mkdir -p "$run" "$local" "$parent" && chmod 0755 "$run" "$local"
# Closed until the services' users exist and the isolation is decided.
chmod 0700 "$parent"
# This script's keys are removed, because later programs do not need them.
(umask 077 && env -u COMFYUI_SSH_HOST_KEY -u COMFYUI_BOOT_SCRIPT -u COMFYUI_SSH_AUTHORIZED_KEY -0 >"$run/environ")

# Copies a signed file from the volume to the container disk; without a matching hash the copy is removed.
verified() {
  rm -f "$2" "$2.unchecked"
  # -I: nothing is imported from the working directory, which may be writable for other users.
  KEY=$key python3 -I -c '
import hashlib, hmac, os, sys
os.umask(0o077)
source, target = sys.argv[1:]
total = hmac.new(os.environ["KEY"].encode(), os.path.basename(source).encode() + b"\0", hashlib.sha256)
with open(source, "rb") as file, open(target + ".unchecked", "wb") as copy:
    left = os.fstat(file.fileno()).st_size - 32
    while left > 0 and (chunk := file.read(min(left, 1 << 20))):
        total.update(chunk), copy.write(chunk)
        left -= len(chunk)
    claimed = file.read(32)
if left or not os.environ["KEY"] or not hmac.compare_digest(total.digest(), claimed):
    sys.exit("boot: %s was not written by this stack, or was changed since: it is refused, and `make up` writes it again" % source)
os.rename(target + ".unchecked", target)
' "$home/$1" "$2" 2>&1 | tail -n 1
  rm -f "$2.unchecked"
  [ -f "$2" ]
}

install_sshd() {
  [ -x /usr/sbin/sshd ] && return 0
  # Packages are cached per release, because they depend on it.
  release=$(. /etc/os-release && printf '%s-%s' "$ID" "${VERSION_ID:-rolling}")-$(uname -m)
  cache=$local/packages/$release
  mkdir -p "$cache/partial"
  export DEBIAN_FRONTEND=noninteractive
  # Packages must not start services: this script starts sshd with its own settings.
  [ -e /usr/sbin/policy-rc.d ] || { printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d && chmod 0755 /usr/sbin/policy-rc.d; }
  if [ -f "$home/archives/packages-$release.tar" ] && verified "archives/packages-$release.tar" "$run/packages.tar"; then
    say "installing the SSH server from the volume"
    tar -xf "$run/packages.tar" -C "$cache" && dpkg -i "$cache"/*.deb >"$run/dpkg.log" 2>&1 && return 0
  fi
  say "installing the SSH server with apt"
  apt-get update -qq && apt-get install -y -qq --no-install-recommends -o APT::Sandbox::User=root \
    -o Dir::Cache::archives="$cache" -o APT::Keep-Downloaded-Packages=true openssh-server >"$run/apt.log" 2>&1
}

start_sshd() {
  mkdir -p "$run/ssh" /run/sshd && chmod 0700 "$run/ssh" && chmod 0755 /run/sshd
  (umask 077 && printf '%s\n' "$COMFYUI_SSH_HOST_KEY" >"$run/ssh/host_key" &&
    printf '%s\n' "$COMFYUI_SSH_AUTHORIZED_KEY" >"$run/ssh/authorized_keys")
  # A password field of "!" counts as a locked account, which sshd without PAM refuses even with the right key.
  case $(grep '^root:' /etc/shadow 2>/dev/null) in root:!*) usermod -p '*' root ;; esac
  cat >"$run/ssh/sshd_config" <<EOF
Port ${POD_PORT_22:-22}
HostKey $run/ssh/host_key
HostKeyAlgorithms ssh-ed25519
PubkeyAcceptedAlgorithms ssh-ed25519
AuthorizedKeysFile $run/ssh/authorized_keys
AuthenticationMethods publickey
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
PermitEmptyPasswords no
AllowUsers root
UsePAM no
AllowAgentForwarding no
AllowStreamLocalForwarding no
AllowTcpForwarding local
PermitOpen 127.0.0.1:8188 127.0.0.1:8189
GatewayPorts no
PermitTunnel no
X11Forwarding no
PermitUserEnvironment no
MaxAuthTries 3
LoginGraceTime 30
ClientAliveInterval 15
ClientAliveCountMax 8
PrintMotd no
Subsystem sftp internal-sftp
PidFile $run/ssh/sshd.pid
EOF
  env -i PATH="$PATH" /usr/sbin/sshd -f "$run/ssh/sshd_config" -E "$run/ssh/sshd.log"
}

# The emulator's process runtime (POD_ROOT is set) has its own SSH server outside of the pod.
if [ -z "$root" ] && [ "$(id -u)" = 0 ]; then
  until install_sshd && start_sshd; do say "no SSH server yet (see $run/*.log); trying again in 15 s"; sleep 15; done
  say "SSH server is up"
fi
unset COMFYUI_SSH_HOST_KEY COMFYUI_SSH_AUTHORIZED_KEY COMFYUI_BOOT_SCRIPT COMFYUI_VOLUME_KEY

# Restores the container disk, which is empty after a stop, and writes $local/boot/start.
restore() {
  verified services.sealed "$run/record" || return 1
  bundle=$(python3 -I -c 'import json, sys; print(json.load(open(sys.argv[1]))["bundle"])' "$run/record") || return 1
  if [ ! -d "$local/bundle/$bundle" ]; then
    verified "archives/bundle-$bundle.tar" "$run/bundle.tar" || return 1
    mkdir -p "$local/bundle/.$bundle" && tar -xf "$run/bundle.tar" -C "$local/bundle/.$bundle" || return 1
    mv -T "$local/bundle/.$bundle" "$local/bundle/$bundle"
    rm -f "$run/bundle.tar"
  fi
  cd "$local/bundle/$bundle" && PYTHONDONTWRITEBYTECODE=1 python3 -m provisioning.services.restore
}

child=
trap '[ -n "$child" ] && kill -TERM "$child" 2>/dev/null && wait "$child"; exit 0' TERM INT
said=
while :; do
  if [ -x "$local/boot/start" ]; then
    say "starting the installed services"
    "$local/boot/start" & child=$!
    wait "$child"; say "the services ended with status $?; starting them again"
    sleep 2 & child=$!
  elif [ -z "$said" ] && [ -f "$home/services.sealed" ]; then
    say "restoring the installation from the volume"
    restore & child=$!
    wait "$child" || { say "the restore failed; trying again in 15 s, or run make up"; sleep 15 & child=$!; wait "$child"; }
    continue
  else
    [ -n "$said" ] || say "nothing is installed yet; waiting for the installer"
    said=1
    sleep 1 & child=$!
  fi
  wait "$child"
done
