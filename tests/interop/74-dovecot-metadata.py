"""Says the same commands about annotations to two servers, and to ours those about rights and limits, by imaplib."""
import imaplib, os, re, ssl, sys

COMMANDS = [
    b"CREATE Noted",
    b'GETMETADATA Noted /private/comment',
    b'SETMETADATA Noted (/private/comment "My own" /shared/comment "For all")',
    b'GETMETADATA Noted /private/comment',
    b'GETMETADATA Noted (/shared/comment /private/comment /private/other)',
    b'GETMETADATA (MAXSIZE 6) Noted (/shared/comment /private/comment)',
    b'SETMETADATA Noted (/private/comment {12+}\r\ntwo\r\nlines\r\n)',
    b'GETMETADATA Noted /Private/Comment',
    b'SETMETADATA Noted (/private/filters/a "1" /private/filters/a/b "2" /private/filters/c "3")',
    b'GETMETADATA (DEPTH 1) Noted /private/filters',
    b'GETMETADATA (DEPTH infinity) Noted /private/filters',
    b'SETMETADATA Noted (/private/filters/a NIL)',
    b'GETMETADATA (DEPTH infinity) Noted /private/filters',
    b'SETMETADATA Noted (/private/empty "")',
    b'GETMETADATA Noted /private/empty',
    b'SETMETADATA "" (/private/vendor/x/y "mine")',
    b'GETMETADATA "" /private/vendor/x/y',
    b'SETMETADATA "" (/shared/admin "mailto:x@example.com")',
    b'GETMETADATA Noted /private//comment',
    b'GETMETADATA Noted /private/comment/',
    b'GETMETADATA Noted "/private/*"',
    b'GETMETADATA Noted comment',
    b'SETMETADATA Noted (/private/comment)',
    b'GETMETADATA Nowhere /private/comment',
    b'SETMETADATA Nowhere (/private/comment "x")',
    b"RENAME Noted Renamed",
    b'GETMETADATA Renamed (/private/comment /shared/comment)',
    b"DELETE Renamed",
    b"CREATE Renamed",
    b'GETMETADATA Renamed /private/comment',
]


def answer(client, command):
    """The entries with their values, and the tagged status with its code."""
    tag = client._new_tag()
    client.send(tag + b" " + command + b"\r\n")
    entries, status = {}, None
    while status is None:
        text = b""
        while True:
            text += client.readline()
            literal = re.search(rb"~?\{(\d+)\}\r\n$", text)
            if not literal:
                break
            octets = client.read(int(literal.group(1)))
            text = text[: literal.start()] + b'"' + octets.replace(b"\\", b"\\\\").replace(b'"', b'\\"') + b'"'
        if text.startswith(tag):
            status = text[len(tag) + 1 :]
        elif text.startswith(b"* METADATA "):
            pairs = re.findall(rb'(/[^ ()"]+) (NIL|"(?:[^"\\]|\\.)*"|[^ ()]+)', text, re.S)
            entries.update((name.lower(), value if value == b"NIL" else value.strip(b'"')) for name, value in pairs)
    code = re.match(rb"\w+ \[(METADATA \w+ \d+)\]", status)
    return sorted(entries.items()), status.split()[0], code.group(1) if code else None


context = ssl.create_default_context()
context.check_hostname, context.verify_mode = False, ssl.CERT_NONE


def ours(user):
    client = imaplib.IMAP4_SSL("127.0.0.1", int(os.environ["IMAPS"]), ssl_context=context)
    client.login(user, "secret")
    return client


differ = 0


def check(what, good, seen):
    global differ
    print("%s: %s%s" % ("ok" if good else "not ok", what, "" if good else ": %r" % (seen,)))
    differ += not good


joe, dovecot = ours("joe@localhost"), imaplib.IMAP4_stream(sys.argv[1])
for command in COMMANDS:
    one, other = answer(joe, command), answer(dovecot, command)
    check(command.decode().replace("\r\n", "\\r\\n"), one == other, (one, other))
dovecot.logout()

# Rights, limits and annotations together, as a client has them.
ann = ours("ann@localhost")
work = '"Other Users/joe@localhost/Renamed"'
check("ann may not know of it", answer(ann, b"GETMETADATA %s /shared/comment" % work.encode())[1] == b"NO", None)
joe.setacl("Renamed", "ann@localhost", "l")
check("with l alone she may not read it", answer(ann, b"GETMETADATA %s /shared/comment" % work.encode())[1] == b"NO", None)
joe.setacl("Renamed", "ann@localhost", "lr")
check("what is granted", b"ann@localhost lr" in joe.getacl("Renamed")[1][0], joe.getacl("Renamed"))
check("what she may do", ann.myrights(work)[1][0].endswith(b" lr"), ann.myrights(work))
joe_says = b'SETMETADATA Renamed (/shared/comment "for all" /private/comment "joe")'
check("joe annotates", answer(joe, joe_says)[1] == b"OK", None)
seen = answer(ann, b"GETMETADATA %s (/shared/comment /private/comment)" % work.encode())
check("ann sees what is shared", seen[0] == [(b"/private/comment", b"NIL"), (b"/shared/comment", b"for all")], seen)
check("no limits where there is no mail", joe.setquota("#user/ann@localhost", "(STORAGE 5)")[0] == "NO", None)
ann.select("INBOX")
check("joe sets limits", joe.setquota("#user/ann@localhost", "(STORAGE 5 MESSAGE 1)")[0] == "OK", None)
check("ann hears of them", b"(STORAGE 0 5 MESSAGE 0 1)" in ann.getquotaroot("INBOX")[1][1][0], ann.getquotaroot("INBOX"))
check("ann sets none", ann.setquota("#user/ann@localhost", "(STORAGE 500)")[0] == "NO", None)
check("one message", ann.append("INBOX", None, None, b"Subject: x\r\n\r\n")[0] == "OK", None)
check("and no more", b"OVERQUOTA" in ann.append("INBOX", None, None, b"Subject: x\r\n\r\n")[1][0], None)
sys.exit(1 if differ else 0)
