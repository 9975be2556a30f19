#!/usr/bin/env bash
# DMARC against opendmarc, which reads what we say of SPF and DKIM in Authentication-Results and comes to a verdict of its own;
# authres reads the field, too.
source "$(dirname "$0")/auth.sh"
"$python" "$here/93-opendmarc.py" zone
serve_zones
opendmarc -f -c "$work/opendmarc.conf" >"$work/opendmarc.log" 2>&1 &
started+=($!)
listens 127.0.0.1 8893
"$python" "$here/93-opendmarc.py" compare
