#!/usr/bin/env bash
# DKIM and ARC against dkimpy: each verifies what the other signed and sealed, with RSA and Ed25519, with keys that OpenSSL made
# and keys that we made, and refuses what was changed. Chains are sealed by one after the other.
source "$(dirname "$0")/auth.sh"
"$python" "$here/91-dkimpy.py" zone
serve_zones
"$python" "$here/91-dkimpy.py" compare
