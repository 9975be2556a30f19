#!/usr/bin/env bash
# A Dovecot user's folder is served by us and by Dovecot in turn and at once: clients see the same mailboxes, subscriptions,
# UIDVALIDITY, UIDs, flags, keywords, dates, sizes and octets, and the state that mbsync keeps stays valid. Dovecot's LMTP
# delivers into a folder that our sessions wait in. The folder is a published one, where PILLARBOX_SHARED names it.
source "$(dirname "$0")/peers.sh"
here=$(dirname "$0") peer_lmtp=$((offset + 1324)) d=$work/dovecot
"${as[@]}" mkdir -p "$(dirname "$maildir")"
published=${PILLARBOX_SHARED:-/nonexistent}/conformance/maildir/dovecot-maildirpp.tar.gz
if [ -f "$published" ]; then
    tar xzf "$published" -C "$(dirname "$maildir")" --no-same-owner
    echo "ok: a Dovecot user's folder of $(find "$maildir" -name maildirfolder | wc -l) mailboxes"
fi
mkdir -p "$d/run" "$d/state"
echo "$user:{PLAIN}$password:65534:65534::$work/nobody::" >"$d/users"
dovecot_on "$maildir"
cat >>"$d/dovecot.conf" <<CONF
instance_name = interop
listen = 127.0.0.1
protocols = lmtp
default_internal_user = nobody
default_internal_group = nogroup
default_login_user = nobody
passdb {
  driver = passwd-file
  args = username_format=%u $d/users
}
userdb {
  driver = passwd-file
  args = username_format=%u $d/users
}
service anvil {
  chroot =
}
service stats {
  chroot =
}
service lmtp {
  inet_listener lmtp {
    port = $peer_lmtp
  }
}
protocol lmtp {
  postmaster_address = postmaster@localhost
}
CONF
chown -R 65534:65534 "$data"
export USER=nobody
their_imap="${as[*]} /usr/lib/dovecot/imap -c $d/dovecot.conf"
swap() { MAILDIR=$maildir IMAPS=$imaps ACCOUNT=$user PASSWORD=$password THEIRS=$their_imap timeout 300 python3 "$here/77-dovecot-swap.py" "$@"; }

for side in ours theirs; do
    {
        echo "IMAPAccount far"
        if [ $side = ours ]; then
            printf 'Host 127.0.0.1\nPort %s\nUser %s\nPass %s\nSSLType IMAPS\nCertificateFile %s/tls/certificate.pem\n' "$imaps" "$user" "$password" "$data"
        else
            printf 'Tunnel "%s"\n' "$their_imap"
        fi
        printf '\nIMAPStore far\nAccount far\n\nMaildirStore near\nPath %s/near/\nInbox %s/near/INBOX\nSubFolders Verbatim\n' "$work" "$work"
        printf '\nChannel all\nFar :far:\nNear :near:\nPatterns *\nCreate Both\nExpunge Both\nSyncState *\n'
    } >"$work/mbsync-$side"
done
mkdir -p "$work/near"
# Every message on both sides, with its flags; whether it still lies in new/ says nothing.
snapshot() {
    find "$work/near" "$maildir" -path '*/tmp' -prune -o -path '*/new/*' -type f -printf '%h/%f\n' -o -path '*/cur/*' -type f -printf '%h/%f\n' |
        sed -E 's#/(new|cur)/#/#; s#(/[^/:]*)$#\1:2,#' | sort
}
sync_with() { # ours or theirs; "quiet" if nothing may come of it
    snapshot >"$work/before"
    mbsync -V -c "$work/mbsync-$1" all >"$work/mbsync.log" 2>&1 || fail "mbsync with $1: $(tail -n 5 "$work/mbsync.log")"
    snapshot >"$work/after"
    summary="$(comm -13 "$work/before" "$work/after" | wc -l) names came and $(comm -23 "$work/before" "$work/after" | wc -l) went"
    if [ "${2:-}" = quiet ]; then
        ! grep -iE 'warning|error|UIDVALIDITY' "$work/mbsync.log" >&2 || fail "mbsync with $1 has doubts"
        diff "$work/before" "$work/after" || fail "after the swap mbsync has work with $1: $summary"
    else
        [ "$summary" != "0 names came and 0 went" ] || fail "mbsync with $1 found nothing to do"
    fi
}
same() { # what
    swap view ours >"$work/seen-by-us"
    swap view theirs >"$work/seen-by-dovecot"
    diff "$work/seen-by-us" "$work/seen-by-dovecot" >"$work/diff" || fail "$1: we (<) and Dovecot (>) differ: $(head -n 20 "$work/diff")"
    echo "ok: $1: $(wc -l <"$work/seen-by-us") lines about mailboxes and messages are the same"
}

# As Dovecot leaves it.
[ -f "$published" ] || swap fill theirs
sync_with theirs
echo "ok: a client that knew Dovecot: $summary"
start
sync_with ours quiet
same "the folder in place"

# With us for a while.
swap work ours
for n in 1 2 3; do swaks --server "127.0.0.1:$smtp" --from a@elsewhere.example --to "$user" --header "Subject: ours $n" --silent 3; done
sync_with ours
echo "ok: after work with us: $summary"
sync_with ours quiet
stop
sync_with theirs quiet
echo "ok: back with Dovecot the client has nothing to do"

# And with Dovecot.
swap work theirs
sync_with theirs
echo "ok: after work with Dovecot: $summary"
sync_with theirs quiet
start
sync_with ours quiet
same "after work with both"

# Both at once. Our sessions hear at once of what Dovecot's IMAP and LMTP do.
dovecot -c "$d/dovecot.conf" >"$work/peer-start.log" 2>&1 || fail "Dovecot does not start: $(cat "$work/peer-start.log" "$d/log")"
at_exit+=("doveadm -c $d/dovecot.conf stop")
listens "$peer_lmtp"
PEER_LMTP=$peer_lmtp swap idle || fail "a session in IDLE"
PEER_LMTP=$peer_lmtp swap both || fail "both at once"
same "after both at once"
sync_with ours
echo "ok: after work with both at once: $summary"
sync_with ours quiet
sync_with theirs quiet
echo "ok: the client's state is valid with both"
! grep -E 'Error|Panic|Fatal' "$d/log" >&2 || fail "Dovecot complains"
stop
