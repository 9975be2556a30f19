#!/usr/bin/env bash
# DKIM against opendkim: each verifies what the other signed, in the four forms of canonicalization, with RSA and Ed25519, and
# refuses it when the body was changed.
source "$(dirname "$0")/auth.sh"
"$python" "$here/90-opendkim.py" zone
serve_zones
"$python" "$here/90-opendkim.py" compare
