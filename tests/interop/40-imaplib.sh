#!/usr/bin/env bash
# Python's imaplib against the server.
source "$(dirname "$0")/lib.sh"
start
timeout 120 python3 "$(dirname "$0")/40-imaplib.py" "$smtp" "$imap" "$imaps" "$user" "$password"
stop
