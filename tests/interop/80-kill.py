#!/usr/bin/env python3
"""Loads the server with numbered messages and records each 250, until the server is killed. Run by 80-kill.sh."""
import socket
import sys
import threading

port, user, record, name = int(sys.argv[1]), sys.argv[2], sys.argv[3], sys.argv[4]
lock = threading.Lock()
acknowledged = open(record, "a", buffering=1)


def session(number):
    try:
        s = socket.create_connection(("127.0.0.1", port), timeout=30)
        lines = s.makefile("rb")

        def ask(text, code):
            s.sendall(text)
            while True:
                line = lines.readline()
                if not line.startswith(code):
                    raise ConnectionError(line)
                if line[3:4] == b" ":
                    return

        ask(b"", b"220")
        ask(b"EHLO load.example\r\n", b"250")
        for n in range(100000):
            ident = f"{name}-{number}-{n}"
            ask(b"MAIL FROM:<a@load.example>\r\n", b"250")
            ask(f"RCPT TO:<{user}>\r\n".encode(), b"250")
            ask(b"DATA\r\n", b"354")
            body = f"{ident} ".encode() * (1 + n % 200)
            ask(b"Subject: load\r\nX-Ident: " + ident.encode() + b"\r\n\r\n" + body + b"\r\nend of " + ident.encode() + b"\r\n.\r\n", b"250")
            with lock:
                acknowledged.write(ident + "\n")
    except (OSError, ConnectionError):
        pass


threads = [threading.Thread(target=session, args=(number,)) for number in range(12)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
