#!/usr/bin/env bash
# Python's imapclient against the server. Debian 12 has no package of it; pip unpacks it into target/peers.
source "$(dirname "$0")/lib.sh"
peer=$root/target/peers/imapclient
[ -d "$peer" ] || python3 -m pip install --quiet --disable-pip-version-check --no-cache-dir --root-user-action ignore --no-deps --target "$peer" imapclient==4.1.0 || fail "imapclient cannot be fetched"
start
PYTHONPATH=$peer timeout 120 python3 "$(dirname "$0")/43-imapclient.py" "$smtp" "$imap" "$imaps" "$user" "$password" "$data/tls/certificate.pem"
stop
