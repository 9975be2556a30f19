#!/usr/bin/env python3
"""Python's imaplib searches several mailboxes by numbers; sockets that are closed for writing bring their answers. Run by 46-last-word.sh."""
import imaplib
import os
import re
import socket
import ssl
import sys

smtp, imaps, user, password = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4]
trust = ssl.create_default_context()
trust.check_hostname = False
trust.verify_mode = ssl.CERT_NONE


def good(answer):
    kind, data = answer
    assert kind == "OK", answer
    return data


def session():
    client = imaplib.IMAP4_SSL("127.0.0.1", imaps, ssl_context=trust)
    client.login(user, password)
    return client


imaplib.Commands["ESEARCH"] = ("AUTH", "SELECTED")
c = session()
good(c.create("Long"))
for n in range(5):
    good(c.append("INBOX", None, None, f"Subject: number {n}\r\n\r\nhay\r\n".encode()))
good(c.select("INBOX"))
for _ in range(80):
    good(c.copy("1:5", "Long"))


def found(*keys):
    kind, data = c._simple_command("ESEARCH", "IN", "(mailboxes (INBOX Long))", *keys)
    good((kind, data))
    lines = good(c._untagged_response(kind, data, "ESEARCH"))
    each = (re.search(rb'MAILBOX "?(\w+)"? UIDVALIDITY \d+\) UID ALL (\S+)', line) for line in lines if line)
    return sorted(match.groups() for match in each)


assert found("1:3") == [(b"INBOX", b"1:3"), (b"Long", b"1:3")]
assert found("4:100", "SUBJECT", "number") == [(b"INBOX", b"4:5"), (b"Long", b"4:100")]
assert found("*") == [(b"INBOX", b"5"), (b"Long", b"400")]
assert found("101:200") == [(b"Long", b"101:200")]
good(c._simple_command("SEARCH", "RETURN", "(SAVE)", "2"))
assert found("$") == [(b"INBOX", b"2")]
c.logout()

for command, told in (
    (b"SEARCH TEXT hay", b"* SEARCH 1 2 3 "),
    (b"UID SORT (SUBJECT) UTF-8 TEXT hay", b"* SORT 1 6 11 "),
    (b"THREAD REFERENCES UTF-8 TEXT hay", b"* THREAD "),
    (b"FETCH 1:* BODY.PEEK[]", b"* 1 FETCH "),
):
    c = session()
    good(c.select("Long"))
    c.send(b"last " + command + b"\r\n")
    # Below TLS, as one whose process has shut down its side: nothing more will ever come.
    below = socket.socket(fileno=os.dup(c.sock.fileno()))
    below.shutdown(socket.SHUT_WR)
    c.sock.settimeout(60)
    heard = b""
    while piece := c.file.read1(65536):
        heard += piece
        if b"\r\nlast OK " in heard:
            break
    lines = [line for line in heard.split(b"\r\n") if not line.startswith(b"* OK ")]
    assert lines[0].startswith(told) and b"\r\nlast OK " in heard, (command, heard[:200], heard[-200:])
    below.close()

with socket.create_connection(("127.0.0.1", smtp), timeout=60) as mail:
    replies = mail.makefile("rb")
    assert replies.readline().startswith(b"220 ")
    mail.sendall(b"EHLO last.example\r\n")
    while not replies.readline().startswith(b"250 "):
        pass
    mail.sendall(b"MAIL FROM:<a@elsewhere.example>\r\nRCPT TO:<" + user.encode() + b">\r\nDATA\r\n")
    for start in (b"250 ", b"250 ", b"354 "):
        assert replies.readline().startswith(start)
    mail.sendall(b"Subject: last\r\n\r\nword\r\n.\r\nQUIT\r\n")
    mail.shutdown(socket.SHUT_WR)
    assert replies.readline().startswith(b"250 ") and replies.readline().startswith(b"221 ")

c = session()
good(c.select("INBOX"))
assert good(c.search(None, "SUBJECT", "last")) == [b"6"]
c.logout()
print("ok: numbers count in each mailbox, and who has closed its side hears the end")
