#!/usr/bin/env python3
"""Loads a server that sends on, until it is killed, and looks afterwards what has arrived. Run by 98-outbound-kill.sh.

load PORT RECORD ROUND: sessions send numbered messages to two recipients each; a number is written down when 250 has come.
audit RECORD ARRIVED KILLS: each number that was written down is among what smtp-sink has kept, with both recipients. A kill may
double what was on its way at that moment, which is no more than a destination has at a time, and nothing else."""
import collections
import os
import re
import socket
import sys
import threading

SESSIONS = 8
# Deliveries to one destination at a time, of two recipients each.
COPIES_OF_A_KILL = 20 * 2


def load(port, record, number):
    lock, notes = threading.Lock(), open(record, "a", buffering=1)

    def session(name):
        try:
            s = socket.create_connection(("127.0.0.1", port), timeout=60)
            lines = s.makefile("rb")

            def ask(text, code):
                s.sendall(text)
                while True:
                    line = lines.readline()
                    if not line.endswith(b"\n"):
                        raise ConnectionError("cut off")
                    if not line.startswith(code):
                        os.write(2, b"refused: " + line)
                        os._exit(1)
                    if line[3:4] == b" ":
                        return

            ask(b"", b"220")
            ask(b"EHLO load.example\r\n", b"250")
            for n in range(100000):
                ident = f"{number}-{name}-{n}"
                ask(b"MAIL FROM:<>\r\n", b"250")
                for to in "ab":
                    ask(f"RCPT TO:<{to}@sink.example>\r\n".encode(), b"250")
                ask(b"DATA\r\n", b"354")
                ask(f"Subject: load\r\nX-Ident: {ident}\r\n\r\n{'x' * (n % 70)}\r\n".encode() + b".\r\n", b"250")
                with lock:
                    notes.write(ident + "\n")
        except (ConnectionError, socket.timeout):
            pass

    threads = [threading.Thread(target=session, args=(name,)) for name in range(SESSIONS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def audit(record, arrived, kills):
    wanted = set(open(record).read().split())
    seen = collections.Counter()
    for name in os.listdir(arrived):
        text = open(os.path.join(arrived, name), encoding="latin-1").read()
        ident = re.search(r"^X-Ident: (\S+)\r?$", text, re.M)
        if not ident:
            continue
        for to in re.findall(r"^X-Rcpt-Args: <(.)@sink.example>", text, re.M):
            seen[ident[1], to] += 1
    lost = [(ident, to) for ident in wanted for to in "ab" if not seen[ident, to]]
    often = {key: count for key, count in seen.items() if count > 1 + kills}
    if lost or often:
        sys.exit(f"lost: {lost[:10]} ({len(lost)}); too often: {list(often.items())[:10]}")
    twice = sum(count - 1 for count in seen.values())
    if twice > COPIES_OF_A_KILL * kills:
        sys.exit(f"{twice} copies more after {kills} kills")
    print(f"ok: {len(wanted)} messages acknowledged, each recipient has its own; {twice} copies more, {kills} kills")


if sys.argv[1] == "load":
    load(int(sys.argv[2]), sys.argv[3], sys.argv[4])
else:
    audit(sys.argv[2], sys.argv[3], int(sys.argv[4]))
