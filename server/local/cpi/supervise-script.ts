/** Exit status of an agent that was told to power its VM off: its supervisor ends instead of starting it again. */
export const poweredOffStatus = 99;

/** Name of the environment variable that every process of a VM carries; its value is the VM's cid. */
export const vmMarker = 'DIRECTORATE_VM';

/**
 * The supervisor of one VM, a bash script (a Node process per VM would cost ten times the memory):
 * `supervise.sh <vm directory> <namespace> <command…>`.
 *
 * With a namespace it first makes `<vm directory>/vcap` the /var/vcap of this mount namespace. Where the machine has no
 * /var/vcap and it may not be made, /var is rebuilt in the namespace from its own entries, so that the machine is left as it was.
 * Then it runs the command for ever: again at once after status 0 (new settings), with a growing pause after failures.
 * `<command>` = `--probe` ends after the mounts and tells whether they are permitted.
 */
export const superviseScript = `#!/bin/bash
set -u
vm_dir=$1 namespace=$2
shift 2

layer_var() {
  local staging='' directory entry name
  for directory in /mnt /media /srv /opt; do
    if [ -d "$directory" ]; then staging=$directory; break; fi
  done
  [ -n "$staging" ] || { echo 'no directory to stage /var in' >&2; return 1; }
  mount --rbind /var "$staging" && mount -t tmpfs -o mode=755 tmpfs /var || return 1
  for entry in "$staging"/* "$staging"/.[!.]*; do
    name=\${entry##*/}
    if [ -L "$entry" ]; then cp -P "$entry" "/var/$name"
    elif [ -d "$entry" ]; then mkdir "/var/$name" && mount --rbind "$entry" "/var/$name"
    elif [ -e "$entry" ]; then : > "/var/$name" && mount --bind "$entry" "/var/$name"
    else true
    fi || return 1
  done
  umount -l "$staging" && mkdir /var/vcap
}

if [ "$namespace" != none ]; then
  if [ ! -d /var/vcap ]; then layer_var || exit 70; fi
  mount --bind "$vm_dir/vcap" /var/vcap || exit 71
fi
if [ "\${1:-}" = --probe ]; then exit 0; fi

log=$vm_dir/agent.log
failures=0
while :; do
  if [ -f "$log" ] && [ "$(stat -c %s "$log")" -gt 10000000 ]; then : > "$log"; fi
  started=$SECONDS
  cd "$vm_dir/vcap" || exit 72
  "$@" >> "$log" 2>&1 < /dev/null
  status=$?
  if [ $status -eq ${poweredOffStatus} ]; then exit 0; fi
  if [ $status -eq 0 ] || [ $((SECONDS - started)) -ge 30 ]; then failures=0; else failures=$((failures + 1)); fi
  echo "{\\"event\\":\\"agent-exited\\",\\"status\\":$status,\\"failures\\":$failures}" >> "$log"
  case $failures in
    0) sleep 0.1 ;;
    1) sleep 0.5 ;;
    2) sleep 1 ;;
    3) sleep 2 ;;
    *) sleep 5 ;;
  esac
done
`;
