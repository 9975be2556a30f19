#!/usr/bin/env bash
# Python's imaplib with zlib against the server: COMPRESS=DEFLATE over STARTTLS and over TLS.
source "$(dirname "$0")/lib.sh"
start
timeout 120 python3 "$(dirname "$0")/45-compress.py" "$imap" "$imaps" "$user" "$password"
stop
