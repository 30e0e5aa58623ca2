# Runs in a mount namespace of its own and becomes the supervisor of one machine. Arguments: the control group files to
# join, "--", the overlay's options, where to mount it, the disk's file (or ""), where to mount that, the command.
set -eu
while [ "$1" != -- ]; do echo 0 > "$1"; shift; done
shift
mount -t overlay secondsite -o "$1" "$2"
if [ -n "$3" ]; then
  # Past the page cache of the file system below where that can, so that no write lingers there.
  device=$(losetup --find --show --direct-io=on "$3" || losetup --find --show "$3")
  mount -t ext4 -o noatime,noinit_itable,errors=remount-ro "$device" "$4" || { losetup --detach "$device"; exit 1; }
  losetup --detach "$device" # takes effect when it is unmounted: with the machine's last process
fi
shift 4
exec "$@"
