#!/usr/bin/env python3
"""Python's imapclient: folders, append, flags, search, move, copy, expunge, IDLE. Run by 43-imapclient.sh."""
import datetime
import random
import smtplib
import ssl
import sys

from imapclient import DELETED, FLAGGED, SEEN, IMAPClient
from imapclient.exceptions import IMAPClientError, LoginError

smtp, imap, imaps, user, password, certificate = int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), *sys.argv[4:7]
trust = ssl.create_default_context(cafile=certificate)


def deliver(*numbers):
    with smtplib.SMTP("127.0.0.1", smtp) as client:
        for n in numbers:
            text = f"Subject: number {n}\r\nFrom: Ann <a@elsewhere.example>\r\nTo: {user}\r\n\r\nBody {n} with gr\u00fc\u00dfe\r\n"
            client.sendmail("a@elsewhere.example", [user], text.encode())


def refused(act, kind, words):
    try:
        act()
    except kind as error:
        assert words in str(error), error
        return
    raise SystemExit(f"there was no error about {words}")


deliver(1, 2, 3, 4, 5)
plain = IMAPClient("localhost", port=imap, ssl=False)
refused(lambda: plain.login(user, password), LoginError, "PRIVACYREQUIRED")
plain.starttls(trust)
plain.login(user, password)
plain.logout()

c = IMAPClient("localhost", port=imaps, ssl_context=trust)
refused(lambda: c.login(user, "wrong"), LoginError, "AUTHENTICATIONFAILED")
c.plain_login(user, password)
print("ok: STARTTLS, LOGIN and AUTHENTICATE")

assert c.namespace().personal[0][1] == "/", c.namespace()
for folder in ("Arch\u00edv", "Arch\u00edv/2026", "Short & sweet"):
    c.create_folder(folder)
    c.subscribe_folder(folder)
assert {"INBOX", "Arch\u00edv", "Arch\u00edv/2026", "Short & sweet"} <= {name for _, _, name in c.list_folders()}
c.rename_folder("Short & sweet", "Long")
assert c.folder_exists("Long") and not c.folder_exists("Short & sweet")
c.unsubscribe_folder("Short & sweet")
assert {name for _, _, name in c.list_sub_folders()} == {"Arch\u00edv", "Arch\u00edv/2026"}, c.list_sub_folders()
c.delete_folder("Long")
refused(lambda: c.create_folder("INBOX"), IMAPClientError, "ALREADYEXISTS")
print("ok: folders with names beyond ASCII")

status = c.select_folder("INBOX")
assert status[b"EXISTS"] == 5 and b"UIDNEXT" in status and b"UIDVALIDITY" in status, status
uids = c.search("ALL")
assert c.search(["SUBJECT", "number 3"]) == uids[2:3]
assert c.search(["NOT", "BODY", "gr\u00fc\u00dfe"], charset="UTF-8") == []
assert c.search(["TEXT", "GR\u00dc\u00dfE", "SINCE", datetime.date.today() - datetime.timedelta(days=1)], charset="UTF-8") == uids
told = c.fetch(uids[:2], ["FLAGS", "ENVELOPE", "BODYSTRUCTURE", "INTERNALDATE", "RFC822.SIZE", "BODY.PEEK[HEADER.FIELDS (SUBJECT)]"])
assert told[uids[0]][b"ENVELOPE"].subject == b"number 1" and told[uids[0]][b"ENVELOPE"].from_[0].mailbox == b"a", told
assert told[uids[1]][b"BODY[HEADER.FIELDS (SUBJECT)]"] == b"Subject: number 2\r\n\r\n", told
assert told[uids[0]][b"BODYSTRUCTURE"][0].lower() == b"text" and SEEN not in told[uids[0]][b"FLAGS"], told
whole = c.fetch(uids[0], "BODY[]")[uids[0]]
assert whole[b"BODY[]"].endswith("Body 1 with gr\u00fc\u00dfe\r\n".encode())
assert len(whole[b"BODY[]"]) == told[uids[0]][b"RFC822.SIZE"]
assert SEEN in c.get_flags(uids[0])[uids[0]]
assert FLAGGED in c.add_flags(uids[1], [FLAGGED, b"$Forwarded"])[uids[1]]
assert FLAGGED not in c.remove_flags(uids[1], [FLAGGED])[uids[1]]
assert set(c.set_flags(uids[1], [SEEN])[uids[1]]) == {SEEN}
assert c.search("UNSEEN") == uids[2:]
print("ok: FETCH, SEARCH and flags")

date = datetime.datetime(2009, 2, 13, 23, 31, 30, tzinfo=datetime.timezone.utc)
answer = c.append("Arch\u00edv/2026", b"Subject: appended\r\n\r\nHello\r\n", [SEEN], date)
assert b"APPENDUID" in answer, answer
c.copy(uids[:2], "Arch\u00edv/2026")
assert c.has_capability("MOVE") and c.has_capability("UIDPLUS")
c.move(uids[2:3], "Arch\u00edv")
assert c.search("ALL") == uids[:2] + uids[3:]
c.delete_messages(uids[3:])
c.uid_expunge(uids[3:4])
assert c.search("ALL") == uids[:2] + uids[4:], "only what was named is expunged"
c.expunge()
assert c.search("ALL") == uids[:2]
assert c.folder_status("Arch\u00edv/2026", ["MESSAGES", "UNSEEN"]) == {b"MESSAGES": 3, b"UNSEEN": 0}
c.select_folder("Arch\u00edv/2026", readonly=True)
appended = c.fetch(c.search(["SUBJECT", "appended"]), ["INTERNALDATE", "FLAGS"])
assert [one[b"INTERNALDATE"].timestamp() for one in appended.values()] == [date.timestamp()], appended
refused(lambda: c.add_flags(c.search("ALL"), [DELETED]), IMAPClientError, "READ-ONLY")
print("ok: APPEND, COPY, MOVE, UID EXPUNGE, EXAMINE")

# Messages that nobody would write: what is told of them can still be read.
MAIL = b"""Date: Fri, 21 Nov 1997 09:55:06 -0600\r\nFrom: "A \\" b" <a@example.com> (c (d))\r\nTo: Group: x@[192.0.2.1], <@r,@s:y@z>;\r
Subject: folded\r\n\tsubject \xc3\xa4\r\nContent-Type: multipart/mixed; boundary="one two"\r\n\r\n--one two\r\nContent-Type: text/plain;
 name*0*=u''%41; name*1=b\r\nContent-Disposition: attachment; filename="x\\"y"\r\nContent-Language: de, en\r\n\r\nhello\r\n--one two\r
Content-Type: message/rfc822\r\n\r\nSubject: inner\r\nContent-Type: multipart/digest; boundary=one\r\n\r\n--one\r\n\r\nSubject: in\r\n\r\ntext\r
--one--\r\n--one two\r\nContent-Type: image/png\r\nContent-Transfer-Encoding: base64\r\n\r\nAAAA\r\n--one two--\r\n"""
chance = random.Random(8)
c.create_folder("Odd")
for _ in range(200):
    mail = bytearray(MAIL)
    for _ in range(chance.randint(1, 6)):
        at = chance.randrange(len(mail))
        match chance.randrange(3):
            case 0:
                mail[at] = chance.randint(1, 255)
            case 1:
                mail[at:at] = chance.choice([b'"', b"\\", b"(", b")", b"<", b"@", b";", b"\r\n", b"\xe4"])
            case _:
                del mail[at : at + chance.randrange(40)]
    c.append("Odd", bytes(mail))
c.select_folder("Odd", readonly=True)
told = c.fetch(c.search("ALL"), ["ENVELOPE", "BODY", "BODYSTRUCTURE"])
assert len(told) == 200 and all(one[b"ENVELOPE"] and one[b"BODYSTRUCTURE"] for one in told.values())
print("ok: 200 mutated messages")

c.select_folder("INBOX")
c.idle()
deliver(6)
heard = c.idle_check(timeout=30)
assert (3, b"EXISTS") in heard, heard
c.idle_done()
with IMAPClient("localhost", port=imaps, ssl_context=trust) as other:
    other.login(user, password)
    other.select_folder("INBOX")
    c.idle()
    other.delete_messages(uids[:1])
    other.expunge()
    heard = []
    while not any(event == (1, b"EXPUNGE") for event in heard):
        more = c.idle_check(timeout=30)
        assert more, heard
        heard += more
c.idle_done()
c.unselect_folder() if c.has_capability("UNSELECT") else c.close_folder()
c.logout()
print("ok: IDLE hears of deliveries and of what others expunge")
