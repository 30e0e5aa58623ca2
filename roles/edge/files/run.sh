# run.sh look|do "CHANGED_PATH ..." UNIT...: run the units with the files as they are now. Prints what is (or would be) done.
set -eu
mode=$1 changed=" $2 "
shift 2
do_it() {
    echo "$*"
    [ "$mode" = look ] || "$@"
}
has_changed() {
    case $changed in *" $1 "*) return 0 ;; esac
    return 1
}
if has_changed /etc/sysctl.d/61-secondsite-edge.conf; then do_it sysctl --quiet --load=/etc/sysctl.d/61-secondsite-edge.conf; fi
case $changed in *" /etc/systemd/"*) do_it systemctl daemon-reload ;; esac
idle=""
for unit in "$@"; do
    if ! systemctl --quiet is-enabled "$unit" 2> /dev/null || ! systemctl --quiet is-active "$unit"; then
        idle="$idle $unit"
        continue
    fi
    case $unit in
        wg-quick@*) tunnel=${unit#wg-quick@} && has_changed "/etc/wireguard/${tunnel%.service}.conf" && do_it systemctl restart "$unit" ;;
        secondsite-tunnels*)
            if has_changed /etc/secondsite/tunnels.nft || has_changed "/etc/systemd/system/$unit"; then do_it systemctl reload "$unit"; fi
            ;;
        keepalived*) has_changed /etc/keepalived/keepalived.conf && do_it systemctl reload "$unit" ;;
        conntrackd*) has_changed /etc/conntrackd/conntrackd.conf && do_it systemctl restart "$unit" ;;
    esac || true
done
[ -z "$idle" ] || do_it systemctl enable --quiet --now $idle
