# shellcheck shell=sh disable=SC2154
# Nothing may be lost for good by the trial: a log that is not full is not closed meanwhile.
word() {
    runuser -u postgres -- psql -qAt -p 5432 -c "$1"
}
inject() {
    word "ALTER SYSTEM SET archive_timeout = 0"
    word "ALTER SYSTEM SET archive_command = '/bin/true'"
    word "SELECT pg_reload_conf()"
}
revert() {
    word "ALTER SYSTEM RESET archive_command"
    word "ALTER SYSTEM RESET archive_timeout"
    word "SELECT pg_reload_conf()"
}
