#!/usr/bin/env bash
# neomutt, driven by scripted keys in a pseudo terminal, reads, flags and deletes over IMAP; and reads the Maildir itself.
source "$(dirname "$0")/lib.sh"
start
for n in 1 2 3; do
    swaks --silent 2 --server 127.0.0.1 --port "$smtp" --from a@elsewhere.example --to "$user" --header "Subject: number $n" --body "body $n"
done

cat >"$work/muttrc" <<RC
set imap_user="$user"
set imap_pass="$password"
set ssl_verify_host=no
set ssl_verify_dates=no
set ssl_starttls=yes
set ssl_force_tls=yes
set certificate_file="$data/tls/certificate.pem"
set folder="$work" spoolfile="$work" header_cache="" message_cachedir="" record="" tmpdir="$work"
set sort=date-received delete=yes quit=yes confirmappend=no wait_key=no pager_stop=yes mark_old=no collapse_unread=yes
set timeout=5 imap_keepalive=60
RC
mutt() { # folder, keys
    NEOMUTT_KEYS=$2 timeout 60 python3 - "$work/muttrc" "$1" "$2" <<'PY' >"$work/screen"
import os, pty, sys
rc, folder, keys = sys.argv[1:4]
os.environ["TERM"] = "xterm"
status = pty.spawn(["neomutt", "-n", "-F", rc, "-f", folder, "-e", f"push '{keys}'"])
sys.exit(os.waitstatus_to_exitcode(status))
PY
}
# Opens the first (which marks it as read), flags the second, deletes the third, writes back and quits.
mutt "imaps://127.0.0.1:$imaps/INBOX" '<first-entry><display-message><exit><next-entry><flag-message><next-entry><delete-message><sync-mailbox><quit>' || fail "neomutt over IMAPS: $(tail -c 2000 "$work/screen")"
expect "left after a deletion by neomutt" 2 "$(messages)"
expect "flagged by neomutt" 1 "$(find "$maildir/cur" -name '*:2,*F*' | wc -l)"
expect "read by neomutt" 1 "$(find "$maildir/cur" -name '*:2,*S*' | wc -l)"
mutt "imap://127.0.0.1:$imap/INBOX" '<last-entry><delete-message><sync-mailbox><quit>' || fail "neomutt over IMAP with STARTTLS: $(tail -c 2000 "$work/screen")"
expect "left after a deletion by neomutt with STARTTLS" 1 "$(messages)"
mutt "$maildir" '<first-entry><set-flag>*<sync-mailbox><quit>' || fail "neomutt on the Maildir: $(tail -c 2000 "$work/screen")"
expect "messages after neomutt opened the Maildir itself" 1 "$(messages)"
stop
