#!/usr/bin/env python3
"""A client with a cache comes back to INBOX with QRESYNC. Run by 75-resync-maildir.sh.

PORT USER PASSWORD CACHE [COMMAND..]: says what it was told at SELECT, gives the commands, and fails unless it then knows what there is.
"""
import json
import os
import re
import socket
import ssl
import sys

port, user, password, path = int(sys.argv[1]), *sys.argv[2:5]
context = ssl.create_default_context()
context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
stream = context.wrap_socket(socket.create_connection(("127.0.0.1", port))).makefile("rwb")
cache = json.load(open(path)) if os.path.exists(path) else None
messages = {int(uid): flags for uid, flags in cache["messages"].items()} if cache else {}
highest, validity, count = (cache["highest"], cache["validity"], 0) if cache else (0, 0, 0)
vanished, changed = [], []
# The highest MODSEQ since the last command ended, and whether HIGHESTMODSEQ came: then that is it (RFC 7162 §6).
fetched, told_highest = 0, False


def line():
    read = stream.readline()
    assert read.endswith(b"\r\n"), read
    return read[:-2].decode()


def numbers(text):
    ranges = [part.split(":") for part in text.split(",")]
    return [n for part in ranges for n in range(int(part[0]), int(part[-1]) + 1)]


def hear(text, into):
    global highest, validity, fetched, told_highest
    if found := re.search(r"\[HIGHESTMODSEQ (\d+)\]", text):
        highest, told_highest = int(found[1]), True
    if found := re.search(r"MODSEQ \((\d+)\)", text):
        fetched = max(fetched, int(found[1]))
    if found := re.search(r"\[UIDVALIDITY (\d+)\]", text):
        validity = int(found[1])
    if found := re.match(r"\* VANISHED (?:\(EARLIER\) )?(\S+)", text):
        vanished.extend(numbers(found[1]))
        for uid in numbers(found[1]):
            into.pop(uid, None)
    if found := re.match(r"\* \d+ FETCH \((.*)\)$", text):
        uid, flags = re.search(r"UID (\d+)", found[1]), re.search(r"FLAGS \(([^)]*)\)", found[1])
        if uid and flags:
            changed.append(int(uid[1]))
            into[int(uid[1])] = sorted(set(flags[1].split()) - {"\\Recent"})


def say(command, into=None):
    global count, highest, fetched, told_highest
    count += 1
    stream.write(f"t{count} {command}\r\n".encode())
    stream.flush()
    while True:
        text = line()
        hear(text, messages if into is None else into)
        if text.startswith(f"t{count} "):
            assert text.startswith(f"t{count} OK"), (command, text)
            highest = highest if told_highest else max(highest, fetched)
            fetched, told_highest = 0, False
            return text


line()
say(f"LOGIN {user} {password}")
say("ENABLE QRESYNC")
if cache:
    known = f"(QRESYNC ({validity} {highest}))"
    before = validity
    say(f"SELECT INBOX {known}")
    assert validity == before, "another UIDVALIDITY"
    print("told:", "vanished", sorted(set(vanished)), "changed", sorted(set(changed)))
else:
    say("SELECT INBOX")
    say("UID FETCH 1:* (FLAGS)")
for command in sys.argv[5:]:
    if command == "wait":
        # What another program does shows within some seconds.
        vanished.clear(), changed.clear()
        for _ in range(200):
            say("NOOP")
            if vanished and changed:
                break
            # Nothing but a bounded wait for the other program's event.
            socket.setdefaulttimeout(0.1)
            try:
                socket.create_server(("127.0.0.1", 0)).accept()
            except TimeoutError:
                pass
        print("heard:", "vanished", sorted(set(vanished)), "changed", sorted(set(changed)))
    elif command == "ready":
        print("ready", flush=True)
        sys.stdin.readline()
    else:
        say(command)
say("NOOP")
truth = {}
say("UID FETCH 1:* (FLAGS)", truth)
assert messages == truth, f"it believes in {messages}, and there is {truth}"
say("LOGOUT")
json.dump({"messages": messages, "highest": highest, "validity": validity}, open(path, "w"))
