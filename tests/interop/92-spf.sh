#!/usr/bin/env bash
# SPF against pyspf, both with the answers of a real name server: the results of some forty records, and what the senders of
# failing ones are told. We check once more with the zone as a file.
source "$(dirname "$0")/auth.sh"
"$python" "$here/92-spf.py" zone
serve_zones
"$python" "$here/92-spf.py" compare
