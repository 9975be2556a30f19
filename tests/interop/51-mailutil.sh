#!/usr/bin/env bash
# The mail library of alpine, by its tool mailutil: it counts, makes, copies, renames, appends to, searches, moves and deletes
# mailboxes.
source "$(dirname "$0")/lib.sh"
start
for n in 1 2 3 4; do
    swaks --silent 2 --server 127.0.0.1 --port "$smtp" --from a@elsewhere.example --to "$user" --header "Subject: number $n" --body "body $n"
done
box() { printf '{localhost:%s/imap/ssl/novalidate-cert/user=%s}%s' "$imaps" "$user" "$1"; }

# Every program of this library asks for the password at its terminal.
mailutil() {
    PASSWORD=$password timeout 60 expect -f - -- "$@" >"$work/mailutil.log" 2>&1 <<'X' || fail "mailutil $*: $(cat "$work/mailutil.log")"
set timeout 30
spawn -noecho /usr/bin/mailutil {*}$argv
expect {
    -re {(?i)password:} { send "$env(PASSWORD)\r"; exp_continue }
    timeout { exit 2 }
    eof
}
exit [lindex [wait] 3]
X
}
mailutil check "$(box INBOX)"
grep -q ' 4 total in ' "$work/mailutil.log" || fail "mailutil check: $(cat "$work/mailutil.log")"
echo 'ok: mailutil counts messages'
mailutil create "$(box Made)"
[ -d "$maildir/.Made" ] || fail "the mailbox was not made"
mailutil delete "$(box Made)"
# This makes the mailbox itself.
mailutil copy "$(box INBOX)" "$(box Archive)"
mailutil rename "$(box Archive)" "$(box Old)"
expect "copies by mailutil" 4 "$(find "$maildir/.Old/cur" "$maildir/.Old/new" -type f | wc -l)"
mailutil append "$(box Old)" "$(box INBOX)"
expect "messages appended by mailutil" 8 "$(messages)"
# It ends with 1 although it did what it was told.
(mailutil prune "$(box INBOX)" "subject 1") 2>/dev/null >&2 || grep -q '2 message(s) purged' "$work/mailutil.log" || fail "mailutil prune: $(cat "$work/mailutil.log")"
expect "messages that a search by mailutil removed" 6 "$(messages)"
mailutil move "$(box Old)" "$(box Moved)"
expect "messages moved by mailutil" 4 "$(find "$maildir/.Moved/cur" "$maildir/.Moved/new" -type f | wc -l)"
mailutil delete "$(box Moved)"
[ ! -e "$maildir/.Moved" ] || fail "the mailbox is still there"
echo "ok: mailutil deletes a mailbox"
stop
