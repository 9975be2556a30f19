# Shared by the scripts that try the server and the client with other mail servers. Each peer is set up in the script's own
# folder, on loopback and high ports; Debian's packages of these servers exclude each other, so all but one are unpacked
# instead of installed.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

if [ "$(id -u)" != 0 ]; then
    echo "skipped: mail servers start as root only"
    exit 0
fi
cp "${SMTP_SEND:-$root/target/release/smtp-send}" "$work/smtp-send"
chmod 755 "$work"
started=() at_exit=()
cleanup_peers() {
    status=$?
    for command in ${at_exit[@]+"${at_exit[@]}"}; do $command || true; done
    for peer in ${started[@]+"${started[@]}"}; do
        kill -TERM "$peer" 2>/dev/null || true
        wait "$peer" 2>/dev/null || true
    done
    [ $status -eq 0 ] || tail -n 30 "$work"/peer*.log >&2 2>/dev/null || true
    cleanup $status
}
trap cleanup_peers EXIT

listens() { # port
    for _ in $(seq 200); do
        if (: <"/dev/tcp/127.0.0.1/$1") 2>/dev/null; then return; fi
        sleep 0.05
    done
    fail "nothing listens on $1"
}

# Postfix in $p, a folder of its own, with a certificate and mailboxes of peer.example in $p/mail: it listens at a port, once
# the script has added to $p/etc what makes it the peer that is wanted.
postfix_in() { # its name, the port
    mkdir -p "$p"/{etc,spool,lib,tls,mail}
    chmod 755 "$p" "$p"/*
    chown postfix "$p/lib"
    chown 65534:65534 "$p/mail"
    make_certificate "$p/tls"
    cat >"$p/etc/main.cf" <<CONF
compatibility_level = 3.6
queue_directory = $p/spool
data_directory = $p/lib
command_directory = /usr/sbin
daemon_directory = /usr/lib/postfix/sbin
mail_owner = postfix
setgid_group = postdrop
myhostname = $1
mydestination =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
maillog_file = $work/peer-postfix.log
maillog_file_prefixes = $work
alias_maps =
default_database_type = texthash
virtual_mailbox_base = $p/mail
virtual_mailbox_maps = texthash:$p/etc/mailboxes
virtual_uid_maps = static:65534
virtual_gid_maps = static:65534
smtpd_tls_cert_file = $p/tls/certificate.pem
smtpd_tls_key_file = $p/tls/key.pem
smtpd_tls_received_header = yes
CONF
    cat >"$p/etc/master.cf" <<CONF
$2 inet n - n - - smtpd
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
proxymap unix - - n - - proxymap
smtp unix - - n - - smtp
showq unix n - n - - showq
error unix - - n - - error
retry unix - - n - - error
virtual unix - n n - - virtual
lmtp unix - - n - - lmtp
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
CONF
    for name in dynamicmaps.cf dynamicmaps.cf.d postfix-files; do cp -r "/etc/postfix/$name" "$p/etc/" 2>/dev/null || true; done
}
start_postfix() { # the port
    chown -R root:root "$p/etc"
    at_exit+=("postfix -c $p/etc stop")
    postfix -c "$p/etc" start >"$work/peer-start.log" 2>&1 || fail "Postfix does not start: $(cat "$work/peer-start.log" "$work/peer-postfix.log")"
    listens "$1"
}

# A certificate for `localhost`.
make_certificate() { # folder
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 30 -subj /CN=localhost \
        -addext subjectAltName=DNS:localhost,IP:127.0.0.1 -addext basicConstraints=critical,CA:FALSE -keyout "$1/key.pem" -out "$1/certificate.pem" 2>/dev/null
}

# Runs a program where the accounts that it was built to run under exist: in a mount namespace with its own list of them.
with_accounts() { # "name name", program, arguments
    local id=64101 name
    cp /etc/passwd /etc/group "$work/"
    for name in $1; do
        grep -q "^$name:" "$work/passwd" || echo "$name:x:$id:$id::/nonexistent:/usr/sbin/nologin" >>"$work/passwd"
        grep -q "^$name:" "$work/group" || echo "$name:x:$id:" >>"$work/group"
        id=$((id + 1))
    done
    shift
    exec unshare -m bash -c 'mount --bind "$0/passwd" /etc/passwd && mount --bind "$0/group" /etc/group && exec "$@"' "$work" "$@"
}

# A message with what is easily lost: dots, 8-bit octets, a long line, spaces and empty lines at the end.
make_message() { # subject
    printf 'From: =?utf-8?q?J=C3=B6rg?= <a@elsewhere.example>\r\nTo: b@peer.example\r\nSubject: %s\r\nMIME-Version: 1.0\r\n' "$1"
    printf 'Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\nDate: Thu, 26 Nov 2026 12:00:00 +0000\r\n'
    printf 'Message-ID: <%s@elsewhere.example>\r\n\r\n' "$1"
    printf '.\r\n..two dots\r\n.a\r\nGrüße, 世界\r\nblanks  \r\n%0900d\r\n\r\n\r\nend\r\n' 7
}

send() { "$work/smtp-send" --from a@elsewhere.example "$@" >"$work/sent" 2>&1; }
delivered() { # what, arguments
    local what=$1
    shift
    send "$@" || fail "$what: $(cat "$work/sent")"
    echo "ok: $what: $(tail -n 1 "$work/sent")"
}
refused() { # what, wanted words, arguments
    local what=$1 wanted=$2
    shift 2
    if send "$@"; then fail "$what was delivered"; fi
    grep -q -- "$wanted" "$work/sent" || fail "$what: no '$wanted' in $(cat "$work/sent")"
    echo "ok: $what: $wanted"
}

# Waits until as many files are in a folder's new/ and says which is the newest.
arrived() { # folder, number
    for _ in $(seq 400); do
        if [ "$(find "$1/new" -type f 2>/dev/null | wc -l)" -ge "$2" ]; then
            newest=$(find "$1/new" -type f -printf '%T@ %p\n' | sort -n | tail -n 1 | cut -d' ' -f2-)
            return
        fi
        sleep 0.05
    done
    fail "only $(find "$1/new" -type f 2>/dev/null | wc -l) of $2 messages arrived in $1"
}

# The body is what was sent, whatever the line ends on disk.
same_body() { # what, message as sent, file
    diff <(sed -e '1,/^\r*$/d' "$2" | tr -d '\r') <(sed -e '1,/^\r*$/d' "$3" | tr -d '\r') >"$work/diff" ||
        fail "$1: the body changed: $(head -n 5 "$work/diff")"
    echo "ok: $1: the body is the same"
}
