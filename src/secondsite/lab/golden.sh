#!/bin/sh
# Turns freshly unpacked packages into the golden image. Called twice by mmdebstrap with the image's folder as $2:
# "before" the packages are installed, and "after". The cached image's key is a digest over this file too.
set -eu
stage=$1
root=$2

before() {
  # No database cluster on install: the roles create what they need, on the durable disk.
  mkdir -p "$root/etc/postgresql-common"
  printf '%s\n' 'create_main_cluster = false' 'start_conf = manual' > "$root/etc/postgresql-common/createcluster.conf"
  printf '%s\n' 'en_US.UTF-8 UTF-8' > "$root/etc/locale.gen"
  # Nor a mailer with this machine's name in it.
  echo 'postfix postfix/main_mailer_type select No configuration' | chroot "$root" debconf-set-selections
}

disable_everything_but_the_base() {
  # Policy for packages and for `systemctl preset`: off, unless it is needed to boot and to answer SSH.
  mkdir -p "$root/etc/systemd/system-preset"
  cat > "$root/etc/systemd/system-preset/00-golden.preset" <<'P'
enable ssh.service
disable *
P
  chroot "$root" systemctl preset-all --preset-mode=full
  chroot "$root" systemctl set-default multi-user.target
  # Not services of an estate but of a bare machine; a container has no use for them and boots slower with them.
  chroot "$root" systemctl mask \
    apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer fstrim.timer \
    systemd-tmpfiles-clean.timer systemd-networkd-wait-online.service systemd-firstboot.service \
    systemd-update-utmp.service systemd-update-utmp-runlevel.service systemd-journal-flush.service \
    systemd-journal-catalog-update.service systemd-hwdb-update.service systemd-pstore.service \
    systemd-random-seed.service systemd-machine-id-commit.service systemd-logind.service \
    systemd-udev-trigger.service systemd-udevd.service systemd-udevd-control.socket systemd-udevd-kernel.socket \
    systemd-network-generator.service systemd-remount-fs.service systemd-binfmt.service \
    systemd-boot-update.service systemd-boot-random-seed.service systemd-pcrphase.service \
    systemd-rfkill.socket systemd-backlight@.service getty.target getty-static.service getty@.service \
    console-getty.service container-getty@.service serial-getty@.service sshd-keygen.service \
    dev-hugepages.mount dev-mqueue.mount sys-kernel-config.mount sys-kernel-debug.mount sys-kernel-tracing.mount \
    sys-fs-fuse-connections.mount proc-sys-fs-binfmt_misc.automount modprobe@.service kmod-static-nodes.service \
    ldconfig.service remote-fs.target systemd-ask-password-console.path systemd-ask-password-wall.path >/dev/null 2>&1
}

slim_and_anonymous() {
  chroot "$root" locale-gen >/dev/null
  printf '%s\n' 'LANG=C.UTF-8' > "$root/etc/default/locale"
  rm -f "$root"/etc/ssh/ssh_host_* "$root/etc/hostname" "$root/etc/resolv.conf" "$root/etc/ssl/private/ssl-cert-snakeoil.key"
  rm -rf "$root/var/lib/etcd"/* "$root/var/cache/apt"/*.bin "$root/var/log"/*.log "$root/var/lib/dbus/machine-id"
  : > "$root/etc/machine-id"
  : > "$root/etc/resolv.conf"
  mkdir -p "$root/etc/systemd/journald.conf.d" "$root/etc/ssh/sshd_config.d" "$root/etc/systemd/system.conf.d" "$root/srv/postgresql"
  printf '%s\n' '[Journal]' 'Storage=volatile' 'RuntimeMaxUse=16M' 'RateLimitIntervalSec=0' 'ReadKMsg=no' 'Audit=no' \
    > "$root/etc/systemd/journald.conf.d/lab.conf"
  printf '%s\n' '[Manager]' 'DefaultTimeoutStartSec=60s' 'DefaultTimeoutStopSec=15s' > "$root/etc/systemd/system.conf.d/lab.conf"
  # As an installer leaves it: root by key only, one host key, no name look-ups.
  printf '%s\n' 'HostKey /etc/ssh/ssh_host_ed25519_key' 'PermitRootLogin prohibit-password' 'PasswordAuthentication no' \
    'KbdInteractiveAuthentication no' 'UseDNS no' 'MaxStartups 100:30:200' 'MaxSessions 100' \
    > "$root/etc/ssh/sshd_config.d/10-golden.conf"
}

case $stage in
  before) before ;;
  after)
    disable_everything_but_the_base
    slim_and_anonymous
    ;;
  *) exit 2 ;;
esac
