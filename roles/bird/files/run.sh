# run.sh look|do "CHANGED_PATH ...": run the daemon with the files as they are now. Prints what is (or would be) done.
set -eu
mode=$1 changed=" $2 "
do_it() {
    echo "$*"
    [ "$mode" = look ] || "$@"
}
case $changed in *" /etc/sysctl.d/61-secondsite-bird.conf "*)
    do_it sysctl --quiet --load=/etc/sysctl.d/61-secondsite-bird.conf ;;
esac
case $changed in *" /etc/systemd/system/bird.service.d/secondsite.conf "*)
    do_it systemctl daemon-reload ;;
esac
if ! systemctl --quiet is-enabled bird 2> /dev/null || ! systemctl --quiet is-active bird; then
    do_it systemctl enable --quiet --now bird
else
    case $changed in
        *" /etc/systemd/system/bird.service.d/secondsite.conf "*) do_it systemctl restart bird ;;
        *" /etc/bird/bird.conf "*) do_it systemctl reload bird ;;
    esac
fi
