"""Stand in for a day: let a database keep nothing that its old primary could catch up with.

What a day does to a standby that is away is known from PostgreSQL's manual (chapters Replication Slots, and Continuous
Archiving): its slot is dropped, and the write-ahead log from before the promotion is recycled. Both are brought about
here and read back; the calendar is not moved.
"""

from __future__ import annotations

import datetime as dt

from ..errors import MeasurementError
from ..run.ports import Hands

LIMITATION = (
    "A day was stood in for: the old primary's slot was dropped and the log from before the promotion recycled, and"
    " both were read back; the calendar was not moved."
)
_TIMEOUT = dt.timedelta(seconds=150)
_SCRIPT = r"""
set -eu
port=$1
cd /
q() { runuser -u postgres -- psql -XAtq -v ON_ERROR_STOP=1 -p "$port" -c "$1"; }
data=$(q 'SHOW data_directory')
timeline=$(q 'SELECT timeline_id FROM pg_control_checkpoint()')
left=$(awk 'END { print $2 }' "$data/pg_wal/$(printf %08X "$timeline").history")
needed=$(q "SELECT pg_walfile_name('$left'::pg_lsn)")
until=$(($(date +%s) + 120))
made=0
while [ -e "$data/pg_wal/$needed" ]; do
    if [ "$(date +%s)" -ge "$until" ]; then
        echo "$needed is still kept, with $(ls "$data/pg_wal" | wc -l) files" >&2
        exit 1
    fi
    q 'SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE NOT active' > /dev/null
    if [ "$made" -lt 36 ]; then
        made=$((made + 1))
        q "SELECT pg_logical_emit_message(true, 'secondsite', 'a day goes by'); SELECT pg_switch_wal()" > /dev/null
    else
        sleep 1  # the archiver must be done with a file before it goes
    fi
    q 'CHECKPOINT'
done
oldest=$(find "$data/pg_wal" -type f -regex '.*/[0-9A-F]*' -printf '%f\n' | sort | sed -n 1p)
echo "timeline $timeline began at $left; $needed is gone, the oldest kept is $oldest"
"""


def let_a_day_go_by(hands: Hands, host: str, *, port: int) -> str:
    """Drop what the old primary would need to catch up, and say what is kept.

    Raises:
        MeasurementError: it is still kept, so this can't stand in for a day.
        Unreachable, ActionTimeout: the host could not be used; what is kept then is not known.
    """
    argv = ["sudo", "-n", "/bin/sh", "-c", _SCRIPT, "sh", str(port)]
    ended = hands.run(host, argv, timeout=_TIMEOUT, accept=range(256))
    if ended.exit_code != 0:
        raise MeasurementError(f"{host}: a day can't be stood in for: {ended.stderr.strip()[-300:]}")
    return f"{host} port {port}: {ended.stdout.strip()}"
