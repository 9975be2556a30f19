#!/usr/bin/env bash
# Rights that Dovecot (acl = vfile) sets are read by the Maildir crate, and those that the crate sets by Dovecot, in one file.
# Needs dovecot-imapd, and: cargo build -p pillarbox-maildir --example maildir
source "$(dirname "$0")/lib.sh"
cp "${MAILDIR_EXAMPLE:-$root/target/debug/examples/maildir}" "$work/maildir"
maildir=$work/mail/joe
"${as[@]}" mkdir "$work/mail"
dovecot_on "$maildir"
cat >>"$work/dovecot/dovecot.conf" <<CONF
mail_plugins = acl
protocol imap {
  mail_plugins = acl imap_acl
}
plugin {
  acl = vfile
  acl_anyone = allow
}
CONF
we() { "${as[@]}" "$work/maildir" "$maildir/.Shared" "$@"; }
dovecot() { # commands, one after the other; all the answers
    local answers number=0
    answers=$(for command in "$@" LOGOUT; do printf 't%d %s\r\n' $((number += 1)) "$command"; done |
        USER=joe "${as[@]}" /usr/lib/dovecot/imap -c "$work/dovecot/dovecot.conf" 2>>"$work/dovecot.err")
    ! grep -E '^t[0-9]+ (NO|BAD)' <<<"$answers" >&2 || fail "Dovecot refuses: $*"
    tr -d '\r' <<<"$answers"
}
# Dovecot's identifiers and rights as lines, without those that IMAP has for nothing else than old clients.
theirs() { dovecot 'GETACL Shared' | sed -n 's/^\* ACL Shared //p' | xargs -n 2 | awk '{ gsub(/[cd]/, "", $2); print $1, $2 }' | sort; }
ours() { we acl | sed 's/^\(-\{0,1\}\)user=/\1/; s/^group=/$/' | while read -r who rights; do
    echo "$who $(grep -o . <<<"$rights" | sort | tr -d '\n')"; done | sort; }
sorted() { while read -r who rights; do echo "$who $(grep -o . <<<"$rights" | sort | tr -d '\n')"; done | sort; }
agree() { # what, entries
    expect "$1" "$(theirs | grep -v '^joe ' | sorted)" "$(ours | grep -v '^owner ')"
    expect "$1: entries" "$2" "$(ours | wc -l)"
}

"${as[@]}" "$work/maildir" "$maildir" create Shared
dovecot 'SETACL Shared ann lrs' 'SETACL Shared "bob" lrwstipekxa' 'SETACL Shared anyone l' 'SETACL Shared -ann s' >/dev/null
agree "what Dovecot set" 4
expect "what ann may do" lr "$(we rights ann)"
expect "what somebody may do" l "$(we rights eve)"
we set-acl carl lrwi
we set-acl ann lrst
we set-acl -carl w
we set-acl bob ''
agree "what we set" 5
dovecot 'SETACL Shared carl +t' 'DELETEACL Shared -ann' >/dev/null
agree "what Dovecot changed of it" 4
expect "what carl may do" lrti "$(we rights carl)"
printf '%s\n' '"user=jo doe" lr :custom' >>"$maildir/.Shared/dovecot-acl"
we set-acl dora l
expect "a name with a space" "lr" "$(we rights 'jo doe')"
grep -q '^"user=jo doe" lr :custom$' "$maildir/.Shared/dovecot-acl" || fail "$(cat "$maildir/.Shared/dovecot-acl")"
dovecot 'GETACL Shared' | grep -q '"jo doe" ' || fail "Dovecot does not read our line: $(dovecot 'GETACL Shared')"
if grep -E 'Error|Panic|Fatal' "$work/dovecot.err" "$work/dovecot/log" 2>/dev/null >&2; then fail "Dovecot complains"; fi
