#!/usr/bin/env bash
# The server and Debian's Dovecot on one account whose mailboxes lie in each other, whose names have a prefix, or whose INBOX is
# elsewhere: both show the same names, subscriptions, UIDs and flags, in turn. Needs the mailserver, dovecot-imapd and python3.
source "$(dirname "$0")/lib.sh"

uid=$(id -u) gid=$(id -g)
[ "$uid" != 0 ] || uid=65534 gid=65534
run() { "${as[@]}" "$@"; }

cat >"$work/imap.py" <<'PY'
"""Speaks IMAP to a server that is logged in to, by way of stdin and stdout of a command or of a port, and shows all mailboxes."""
import imaplib, subprocess, sys, ssl, re

kind, target, user, password = sys.argv[1:5]
if kind == "dovecot":
    class Client(imaplib.IMAP4_stream):
        pass
    client = Client(target)
else:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    client = imaplib.IMAP4_SSL("127.0.0.1", int(target), ssl_context=context)
    client.login(user, password)

def ask(*command):
    kind, data = getattr(client, command[0])(*command[1:])
    if kind != "OK":
        sys.exit("%s: %s" % (command, data))
    return data

for line in sys.argv[5:]:
    name, *arguments = line.split(" ")
    if name == "add":
        # mailbox, flags, subject
        ask("append", arguments[0], "(%s)" % arguments[1].replace(",", " "), None, b"Subject: %s\r\n\r\nbody\r\n" % arguments[2].encode())
    elif name == "flag":
        ask("select", arguments[0])
        ask("store", arguments[1], "+FLAGS", "(%s)" % arguments[2].replace(",", " "))
        ask("close")
    elif name == "refused":
        kind, data = getattr(client, arguments[0])(*arguments[1:])
        if kind != "NO":
            sys.exit("%s: %s %s" % (line, kind, data))
    else:
        ask(name, *arguments)

print("namespace", ask("namespace"))
names = []
for line in sorted(ask("list", '""', "*")):
    attributes, name = re.match(rb'\((.*?)\) "." "?(.*?)"?$', line).groups()
    # Dovecot tells of levels that are no mailboxes; so may we, where something is below.
    if b"Noselect" in attributes or b"NonExistent" in attributes:
        continue
    names.append(name.decode())
print("mailboxes", names)
print("subscribed", sorted(re.match(rb'.*? "." "?(.*?)"?$', line)[1].decode() for line in ask("lsub", '""', "*") if line))
for name in names:
    ask("select", name, True)
    print(name, "uidvalidity", client.untagged_responses["UIDVALIDITY"], "uidnext", client.untagged_responses.get("UIDNEXT"))
    for line in ask("fetch", "1:*", "(UID FLAGS RFC822.SIZE)") if client.untagged_responses["EXISTS"] != [b"0"] else []:
        flags = sorted(re.search(rb"FLAGS \((.*?)\)", line)[1].replace(rb"\Recent", b"").split())
        print(" ", re.search(rb"UID (\d+)", line)[1], flags, re.search(rb"SIZE (\d+)", line)[1])
client.logout()
PY

serve() { # lines of [mailboxes]
    cat >"$work/mail.toml" <<CONF
hostname = "localhost"
domains = ["localhost"]
postmaster = "$user"
accounts = "$work/site/passwd"
mail = "$work/site/mail/{user}"
[mailboxes]
$1
[tls]
certificate = "$work/site/certificate.pem"
key = "$work/site/key.pem"
[[listener]]
protocol = "imap"
address = "127.0.0.1:$imaps"
tls = "implicit"
CONF
    run "$work/mailserver" serve --config "$work/mail.toml" >>"$work/server.log" 2>&1 &
    server=$!
    for _ in $(seq 400); do
        if grep -q '^listening' "$work/server.log"; then return; fi
        kill -0 "$server" 2>/dev/null || break
        read -r -t 0.05 <> <(:) || true
    done
    fail "the server did not come up: $(cat "$work/server.log")"
}

ours() { python3 "$work/imap.py" ours "$imaps" "$user" "$password" "$@"; }
theirs() { python3 "$work/imap.py" dovecot "${as[*]} env USER=nobody /usr/lib/dovecot/imap -c $work/dovecot.conf" - - "$@"; }
agree() { # what
    ours >"$work/ours" || fail "$1: $(cat "$work/ours")"
    theirs >"$work/theirs" 2>>"$work/dovecot.err" || fail "$1: $(cat "$work/theirs")"
    diff "$work/ours" "$work/theirs" >&2 || fail "$1: ours (<) and Dovecot's (>) differ"
    echo "ok: $1: $(grep -c '^  ' "$work/ours") messages in $(grep -c uidvalidity "$work/ours") mailboxes"
}

round() { # what, lines of [mailboxes], what stands behind the path in mail_location, prefix, separator, a name with a dot or a word
    local what=$1 below=$4 s=$5
    rm -rf "$work/site" "$work/dovecot"
    run mkdir -p "$work/site/mail" "$work/dovecot"
    run sh -c "umask 077; echo '$user:{PLAIN}$password' >'$work/site/passwd'"
    run openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 30 -subj /CN=localhost \
        -keyout "$work/site/key.pem" -out "$work/site/certificate.pem" 2>/dev/null
    cat >"$work/dovecot.conf" <<CONF
base_dir = $work/dovecot/run
state_dir = $work/dovecot/state
mail_location = maildir:$work/site/mail/you$3
mail_uid = $uid
mail_gid = $gid
first_valid_uid = 0
first_valid_gid = 0
ssl = no
namespace inbox {
  inbox = yes
  prefix = $below
  separator = $s
}
CONF
    : >"$work/server.log"
    # Dovecot first: an account as people have it.
    theirs "create ${below}Archive" "create ${below}Archive${s}2026" "create ${below}$6" "create ${below}&AMQ-${s}x" \
        "subscribe ${below}Archive${s}2026" "subscribe ${below}$6" "subscribe ${below}&AMQ-${s}x" "subscribe INBOX" \
        "add INBOX \\Seen one" "add INBOX \\Flagged,work two" "add ${below}Archive \\Seen three" \
        "add ${below}Archive${s}2026 \\Answered four" "add ${below}$6 \\Seen,\$Junk five" >/dev/null 2>>"$work/dovecot.err" || fail "$what: Dovecot: $(cat "$work/dovecot.err")"
    serve "$2"
    agree "$what: Dovecot's account"
    ours "create ${below}New${s}deep" "subscribe ${below}New${s}deep" "unsubscribe ${below}$6" "add ${below}New${s}deep \\Draft six" \
        "add INBOX \\Seen,work seven" "flag ${below}Archive 1 \\Deleted" "flag INBOX 1 \\Answered,later" "rename ${below}Archive ${below}Old" \
        "delete ${below}&AMQ-${s}x" "refused create ${below}INBOX" >/dev/null || fail "$what: our changes"
    agree "$what: after our changes"
    theirs "add ${below}New${s}deep \\Seen eight" "rename ${below}New ${below}Newer" "delete ${below}Old" "create ${below}Old" \
        "add ${below}Old \\Seen nine" "flag INBOX 2 \\Answered" "subscribe ${below}Newer${s}deep" >/dev/null 2>>"$work/dovecot.err" || fail "$what: Dovecot's changes"
    agree "$what: after Dovecot's changes"
    ours "delete ${below}Old" "add ${below}Old${s}2026 \\Flagged ten" "create ${below}Old" >/dev/null || fail "$what: our second changes"
    agree "$what: a mailbox above others deleted and made again"
    if grep -E 'Error|Warning|Panic|Fatal' "$work/dovecot.err" >&2; then fail "$what: Dovecot complains"; fi
    stop
}

: >"$work/dovecot.err"
round 'fs' 'layout = "fs"' ':LAYOUT=fs' '' / 'Lists.rust'
round 'fs with a prefix' $'layout = "fs"\nprefix = "INBOX."\nseparator = "."' ':LAYOUT=fs' INBOX. . Lists
round 'Maildir++ with a prefix' $'prefix = "INBOX."\nseparator = "."' '' INBOX. . Lists
round 'Maildir++ with a prefix and slashes' $'prefix = "INBOX/"' '' INBOX/ / Lists
round 'INBOX elsewhere, names in UTF-8' "layout = \"fs\"
names = \"utf-8\"
inbox = \"$work/site/mail/{user}-inbox\"" ":LAYOUT=fs:UTF-8:INBOX=$work/site/mail/you-inbox" '' / 'a&-b.c'
