#!/usr/bin/env bash
# A disk of 2 MB that runs full, and becomes read-only, under a running server: every refusal is for now, reading goes on, and
# all is well again when the disk is. A sparse disk of its own, in a mount namespace, so that nothing else meets it.
if [ "$(id -u)" != 0 ]; then
    echo "skipped: file systems are mounted as root only"
    exit 0
fi
if [ -z "${IN_NAMESPACE:-}" ]; then
    if ! unshare -m true 2>/dev/null; then
        echo "skipped: there is no mount namespace to be had here"
        exit 0
    fi
    IN_NAMESPACE=1 exec unshare -m bash "$0" "$@"
fi
source "$(dirname "$0")/lib.sh"
mount --make-rprivate /
trap 'status=$?; umount -l "$work/disk" 2>/dev/null || true; cleanup $status' EXIT
"${as[@]}" mkdir -p "$work/data" "$work/disk"
mount -t tmpfs -o size=2m,nr_inodes=300,uid=65534,gid=65534 none "$work/disk"
lmtp=$work/data/lmtp
cat >"$work/data/mail.toml" <<TOML
hostname = "localhost"
domains = ["localhost"]
postmaster = "you@localhost"
accounts = "passwd"
mail = "$work/disk/{user}/Maildir"
[tls]
certificate = "certificate.pem"
key = "key.pem"
[limits]
free_space = ${FREE_SPACE:-1}
free_files = ${FREE_FILES:-1}
[[listener]]
protocol = "smtp"
address = "127.0.0.1:$smtp"
[[listener]]
protocol = "imap"
address = "127.0.0.1:$imaps"
tls = "implicit"
[[listener]]
protocol = "lmtp"
address = "unix:$lmtp"
TOML
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 30 -subj /CN=localhost \
    -keyout "$work/data/key.pem" -out "$work/data/certificate.pem" 2>/dev/null
chmod 600 "$work/data/key.pem"
echo "$user:{PLAIN}$password" >"$work/data/passwd"
chmod 600 "$work/data/passwd"
chown -R 65534:65534 "$work/data"

serve() { # free_space, free_files
    sed -i "s/^free_space = .*/free_space = $1/; s/^free_files = .*/free_files = $2/" "$work/data/mail.toml"
    "${as[@]}" "$work/mailserver" serve --config "$work/data/mail.toml" >>"$work/server.log" 2>&1 &
    server=$!
    for _ in $(seq 200); do
        grep -q '^listening' "$work/server.log" && return
        kill -0 "$server" 2>/dev/null || break
        sleep 0.05
    done
    fail "the server did not come up"
}
serve 1 1
MAIL_ROOT=$work/disk IMAPS=$imaps SMTP=$smtp LMTP=$lmtp PASSWORD=$password timeout 120 python3 "$(dirname "$0")/78-disk.py" || fail "78-disk.py"
kill -0 "$server" || fail "the server is gone"
stop
rm -rf "$work/disk/"*

# The low-water marks, of space and of files, with a size announced and without.
serve 1500000 1
MAIL_ROOT=$work/disk IMAPS=$imaps SMTP=$smtp LMTP=$lmtp PASSWORD=$password MARK=space timeout 120 python3 "$(dirname "$0")/78-disk.py" || fail "the mark of space"
stop
rm -rf "$work/disk/"*
serve 1 200
MAIL_ROOT=$work/disk IMAPS=$imaps SMTP=$smtp LMTP=$lmtp PASSWORD=$password MARK=files timeout 120 python3 "$(dirname "$0")/78-disk.py" || fail "the mark of files"
stop
umount "$work/disk"
