#!/usr/bin/env python3
"""Python's imaplib uses extensions, most of which it does not know itself. Run by 41-imap-memory.sh."""
import imaplib
import re
import sys

port, user, password = int(sys.argv[1]), sys.argv[2], sys.argv[3]
for name in ("MOVE", "UNAUTHENTICATE"):
    imaplib.Commands.setdefault(name, ("AUTH", "SELECTED"))


def good(answer):
    kind, data = answer
    assert kind == "OK", answer
    return data


def bad(act, words):
    try:
        act()
        raise SystemExit(f"there was no BAD about {words}")
    except imaplib.IMAP4.error as error:
        assert "BAD" in str(error) and words in str(error), error


def connect():
    c = imaplib.IMAP4("127.0.0.1", port)
    good(c.login(user, password))
    return c


def append(c, mailbox, *messages):
    """MULTIAPPEND, which imaplib has no words for: literals that come unasked, so that no continuation is waited for."""
    parts = b"".join(b" (\\Seen) {%d+}\r\n%s" % (len(message), message) for message in messages)
    return c._simple_command("APPEND", mailbox.encode() + parts)


c = connect()
wanted = """IMAP4REV1 IMAP4REV2 LITERAL+ APPENDLIMIT=52428800 BINARY CHILDREN CONDSTORE CREATE-SPECIAL-USE ENABLE ESEARCH ID
    CATENATE IDLE LIST-EXTENDED LIST-STATUS MOVE MULTIAPPEND NAMESPACE OBJECTID PREVIEW QRESYNC REPLACE SAVEDATE
    SEARCHRES SPECIAL-USE STATUS=SIZE UIDPLUS UNSELECT UTF8=ACCEPT WITHIN""".split()
missing = set(wanted) - set(good(c.capability())[0].decode().upper().split())
assert not missing, missing
print("ok: everything is on offer")

good(append(c, "INBOX", b"Subject: one\r\n\r\n1\r\n", b"Subject: two\r\n\r\n22\r\n"))
assert good(c.select("INBOX")) == [b"4"]
good(c.search(None, "RETURN (SAVE) SUBJECT one"))
assert b"ENVELOPE" in good(c.fetch("$", "(ENVELOPE)"))[0]
good(c._simple_command("MOVE", "$", "Archive"))
assert good(c.status("Archive", "(MESSAGES SIZE)")) == [b"Archive (MESSAGES 1 SIZE 19)"], c.status("Archive", "(SIZE)")
assert good(c.search(None, "ALL")) == [b"1 2 3"]
bad(lambda: append(c, "INBOX", b"Subject: good\r\n\r\n", b"Subject: with \0\r\n\r\n"), "NUL")
good(c.noop())
assert good(c.search(None, "ALL")) == [b"1 2 3"], "a message of a command that failed is there"
print("ok: MULTIAPPEND, SEARCHRES, MOVE and STATUS=SIZE")

part = good(c.fetch("1", "(BINARY.SIZE[1] BINARY.PEEK[1])"))
assert part[0][1].endswith("Grüße!\r\n".encode()), part
assert b"BINARY.SIZE[1] %d" % len(part[0][1]) in part[0][0], part
good(append(c, "INBOX", b"x"))
c.literal = None
answer = c._simple_command("APPEND", b"INBOX ~{5+}\r\na\0b\0c")
good(answer)
good(c.noop())
assert good(c.fetch("5", "(BINARY[])"))[0] is not None
print("ok: BINARY")

made = good(c._simple_command("CREATE", "Objects"))[0]
mailbox = re.match(rb"\[MAILBOXID \(([\w-]+)\)\]", made)[1]
good(c.rename("Objects", "Things"))
assert mailbox in good(c.status("Things", "(MAILBOXID)"))[0], "the identifier of a mailbox is lost with its name"
about = good(c.fetch("1", "(EMAILID THREADID SAVEDATE)"))[0]
message = re.search(rb"EMAILID \(([\w-]+)\) THREADID NIL SAVEDATE \"", about)[1]
good(c.copy("1", "Things"))
good(c.select("Things"))
assert good(c.search(None, "EMAILID", message.decode())) == [b"1"], "a copy is another message"
assert good(c.search(None, "THREADID", message.decode())) == [b""]
assert good(c.search(None, "SAVEDATESUPPORTED SAVEDSINCE 1-Jan-2020")) == [b"1"]
good(c.select("INBOX"))
print("ok: OBJECTID and SAVEDATE")

made = c._simple_command("CREATE", r"Templates (USE (\Drafts))")
assert made[0] == "NO" and b"USEATTR" in made[1][0], made
good(c.delete("Drafts"))
good(c._simple_command("CREATE", r"Templates (USE (\Drafts))"))
good(c._simple_command("LIST", '(SPECIAL-USE)', '""', "(Sent Templates)", "RETURN (STATUS (MESSAGES SIZE))"))
assert len(c.response("STATUS")[1]) == 2 and len(c.response("LIST")[1]) == 2
print("ok: CREATE-SPECIAL-USE and LIST-STATUS")

c.unselect()
good(c.enable("UTF8=ACCEPT"))
good(c.create('"Entwürfe"'))
names = good(c.list('""', '"E*"'))
assert any('"Entwürfe"'.encode() in name for name in names), names
old = connect()
names = good(old.list('""', '"E*"'))
assert any(b"Entw&APw-rfe" in name for name in names), names
good(c._simple_command("ENABLE", "IMAP4rev2"))
good(c.rename('"Entwürfe"', '"Ablage/Entwürfe"'))
told = c.response("LIST")[1]
assert told and "OLDNAME".encode() in told[-1] and '"Entwürfe"'.encode() in told[-1], told
assert good(c.select("INBOX")) == [b"5"]
assert c.response("RECENT")[1] == [None], "IMAP4rev2 has no RECENT"
c._simple_command("UID", "SEARCH", "ALL")
found = c.response("ESEARCH")[1]
assert found and b"UID ALL" in found[-1], found
bad(lambda: c._simple_command("LSUB", '""', "*"), "LSUB")
print("ok: UTF8=ACCEPT and IMAP4rev2")
c.logout()
old.logout()
