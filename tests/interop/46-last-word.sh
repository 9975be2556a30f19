#!/usr/bin/env bash
# What one who has closed its side of the connection still hears, and numbers in searches of several mailboxes.
source "$(dirname "$0")/lib.sh"
start
timeout 120 python3 "$(dirname "$0")/46-last-word.py" "$smtp" "$imaps" "$user" "$password"
stop
