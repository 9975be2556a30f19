#!/usr/bin/env bash
# DKIM, ARC, SPF and DMARC against rspamd: each verifies what the other signed and sealed, with RSA and Ed25519, and refuses
# what was changed.
source "$(dirname "$0")/auth.sh"
mkdir "$work/rspamd"
"$python" "$here/94-rspamd.py" zone
serve_zones
# It goes on as root and in the foreground.
TMPDIR=$work/rspamd rspamd -i -f -c "$work/rspamd.conf" >"$work/rspamd.log" 2>&1 &
started+=($!)
listens 127.0.0.1 11333
"$python" "$here/94-rspamd.py" compare
