#!/usr/bin/env python3
"""Python's imaplib reads, flags, searches, copies, appends, watches and deletes. Run by 40-imaplib.sh."""
import imaplib
import smtplib
import ssl
import sys

smtp, imap, imaps, user, password = int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4], sys.argv[5]
trust = ssl.create_default_context()
trust.check_hostname = False
trust.verify_mode = ssl.CERT_NONE


def good(answer):
    kind, data = answer
    assert kind == "OK", answer
    return data


with smtplib.SMTP("127.0.0.1", smtp) as client:
    for n in range(5):
        client.sendmail("a@elsewhere.example", [user], f"Subject: number {n}\r\nFrom: a@elsewhere.example\r\n\r\nBody {n}\r\n")

plain = imaplib.IMAP4("127.0.0.1", imap)
assert "LOGINDISABLED" in plain.capabilities, plain.capabilities
try:
    plain.login(user, password)
    raise SystemExit("a login in the clear worked")
except imaplib.IMAP4.error as error:
    assert "PRIVACYREQUIRED" in str(error), error
good(plain.starttls(trust))
good(plain.login(user, password))
plain.logout()

c = imaplib.IMAP4_SSL("127.0.0.1", imaps, ssl_context=trust)
try:
    c.login(user, "wrong")
    raise SystemExit("a wrong password worked")
except imaplib.IMAP4.error as error:
    assert "AUTHENTICATIONFAILED" in str(error), error
good(c.authenticate("PLAIN", lambda _: f"\0{user}\0{password}".encode()))
assert good(c.select("INBOX")) == [b"5"]
assert good(c.search(None, "ALL")) == [b"1 2 3 4 5"]
assert good(c.search(None, "SUBJECT", '"number 3"')) == [b"4"]
structure = good(c.fetch("1", "(UID FLAGS INTERNALDATE RFC822.SIZE ENVELOPE BODYSTRUCTURE)"))[0]
assert b'"number 0"' in structure and b'("TEXT" "PLAIN"' in structure.upper(), structure
part = good(c.fetch("2", "(BODY.PEEK[TEXT]<0.4>)"))
assert part[0][1] == b"Body", part
assert b"\\Seen" not in good(c.fetch("2", "(FLAGS)"))[0]
whole = good(c.fetch("2", "(RFC822)"))[0][1]
assert whole.startswith(b"Return-Path: <a@elsewhere.example>\r\n") and whole.endswith(b"\r\nBody 1\r\n"), whole
assert b"\\Seen" in good(c.fetch("2", "(FLAGS)"))[0]
assert b"\\Flagged" in good(c.store("3", "+FLAGS", r"(\Flagged todo)"))[0]
assert good(c.search(None, "FLAGGED", "KEYWORD", "todo")) == [b"3"]

good(c.create("Archive/2026"))
good(c.subscribe("Archive/2026"))
assert any(b"Archive/2026" in line for line in good(c.list())), c.list()
assert any(b"Archive/2026" in line for line in good(c.lsub())), c.lsub()
good(c.copy("1:2", "Archive/2026"))
good(c.append("Archive/2026", r"(\Seen)", imaplib.Time2Internaldate(1234567890), b"Subject: appended\r\n\r\nHello\r\n"))
status = good(c.status("Archive/2026", "(MESSAGES UNSEEN UIDNEXT UIDVALIDITY)"))[0]
assert b"MESSAGES 3" in status, status
kind, data = c.uid("FETCH", "1:*", "(FLAGS)")
assert kind == "OK" and len(data) == 5, data
good(c.store("1:2", "+FLAGS.SILENT", r"(\Deleted)"))

other = imaplib.IMAP4_SSL("127.0.0.1", imaps, ssl_context=trust)
other.login(user, password)
assert good(other.select("INBOX", readonly=True)) == [b"5"]
assert len(good(c.expunge())) == 2
good(other.noop())
assert good(other.search(None, "ALL")) == [b"1 2 3"], "another session does not see the expunge"

with smtplib.SMTP("127.0.0.1", smtp) as client:
    client.sendmail("a@elsewhere.example", [user], "Subject: idle\r\n\r\n.\r\n")
other.send(b"i1 IDLE\r\n")
assert other.readline().startswith(b"+ ")
with smtplib.SMTP("127.0.0.1", smtp) as client:
    client.sendmail("a@elsewhere.example", [user], "Subject: while idle\r\n\r\nnews\r\n")
other.sock.settimeout(60)
while not other.readline().startswith(b"* 5 EXISTS"):
    pass
other.send(b"DONE\r\n")
while not other.readline().startswith(b"i1 OK"):
    pass
other.logout()

good(c.rename("Archive/2026", "Old"))
good(c.delete("Old"))
good(c.close())
c.logout()
print("ok: imaplib reads, flags, searches, copies, appends, watches and deletes")
