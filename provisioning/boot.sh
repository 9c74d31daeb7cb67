# Runs on every container start, before anything of ours: first boot, stop/start, migration. Only the volume survives
# those. It makes the pod reachable by the one key that may log in, then runs what is installed on the volume, for as
# long as the container lives. It never ends by itself: a pod that nobody can log in to cannot be repaired.
set -u
umask 022
root=${POD_ROOT:-}
run=$root/run/comfyui-runpod
home=$root/persistent/volume/comfyui-runpod
say() { printf '%s boot: %s\n' "$(date -u +%H:%M:%S)" "$*"; }

mkdir -p "$run" "$home" && chmod 0755 "$run"
# The keys of this script's own are left out: nothing later needs them, and what nobody keeps nobody can leak.
(umask 077 && env -u COMFYUI_SSH_HOST_KEY -u COMFYUI_BOOT_SCRIPT -u COMFYUI_SSH_AUTHORIZED_KEY -0 >"$run/environ")

install_sshd() {
  [ -x /usr/sbin/sshd ] && return 0
  # The cache is kept per release: packages of another one would not install.
  release=$(. /etc/os-release && printf '%s-%s' "$ID" "${VERSION_ID:-rolling}")-$(uname -m)
  cache=$home/packages/$release
  mkdir -p "$cache/partial"
  export DEBIAN_FRONTEND=noninteractive
  # Packages must not start services of their own: this script starts sshd with its own settings.
  [ -e /usr/sbin/policy-rc.d ] || { printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d && chmod 0755 /usr/sbin/policy-rc.d; }
  if ls "$cache"/openssh-server_*.deb >/dev/null 2>&1; then
    say "installing the SSH server from the volume"
    dpkg -i "$cache"/*.deb >"$run/dpkg.log" 2>&1 && return 0
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

# The process runtime of the emulator (POD_ROOT is set) has an SSH server of its own outside the pod.
if [ -z "$root" ] && [ "$(id -u)" = 0 ]; then
  until install_sshd && start_sshd; do say "no SSH server yet (see $run/*.log); trying again in 15 s"; sleep 15; done
  say "SSH server is up"
fi
unset COMFYUI_SSH_HOST_KEY COMFYUI_SSH_AUTHORIZED_KEY COMFYUI_BOOT_SCRIPT

child=
trap '[ -n "$child" ] && kill -TERM "$child" 2>/dev/null && wait "$child"; exit 0' TERM INT
said=
while :; do
  if [ -x "$home/boot/start" ]; then
    say "starting what is installed on the volume"
    "$home/boot/start" & child=$!
    wait "$child"; say "it ended with status $?; starting it again"
    sleep 2 & child=$!
  else
    [ -n "$said" ] || say "nothing is installed yet; waiting for the installer"
    said=1
    sleep 1 & child=$!
  fi
  wait "$child"
done
