"""Makes a Maildir of messages with text in many forms; asks two servers for PREVIEW of them, and to make messages of their parts."""
import base64, imaplib, os, quopri, re, ssl, sys

imaplib._MAXLINE = 1 << 24


def part(kind, text, encoding=None, more=""):
    octets = text if isinstance(text, bytes) else text.encode()
    if encoding == "base64":
        octets = base64.encodebytes(octets).replace(b"\n", b"\r\n")
    elif encoding == "quoted-printable":
        octets = quopri.encodestring(octets).replace(b"\n", b"\r\n")
    header = "Content-Type: %s\r\n%s%s" % (kind, "Content-Transfer-Encoding: %s\r\n" % encoding if encoding else "", more)
    return header.encode() + b"\r\n" + octets


def multipart(kind, *parts):
    body = b"".join(b"--=b\r\n" + one + b"\r\n" for one in parts)
    return b"Content-Type: multipart/%s; boundary=\"=b\"\r\n\r\npreamble\r\n" % kind.encode() + body + b"--=b--\r\n"


LONG = "word " * 100
HTML, PLAIN = part("text/html", "<p>html <b>bold</b></p>"), part("text/plain", "plain")
# What is in the message, and why the two servers show something else of it if they do.
MESSAGES = [
    ("plain", b"\r\nHello world!\r\n", None),
    ("folded white space", b"\r\n  Hello,\r\n\r\n\tworld  !\r\n", None),
    ("no text", b"\r\n", None),
    ("two hundred characters", b"\r\n" + LONG.encode(), None),
    ("two hundred letters of two octets", part("text/plain; charset=utf-8", "\u00e4" * 400), None),
    ("latin", part("text/plain; charset=iso-8859-1", "caf\u00e9 au lait".encode("latin-1"), "quoted-printable"), None),
    ("base64", part("text/plain; charset=utf-8", "gr\u00fcn " * 30, "base64"), None),
    ("flowed", part("text/plain; format=flowed", "one \r\ntwo \r\nthree\r\n"), None),
    ("an answer below", b"\r\nOn Monday Ann wrote:\r\n> said before\r\n> and more\r\n\r\nand now\r\n", None),
    ("a quotation in front", b"\r\n> said before\r\n\r\nand now\r\n> again\r\n", None),
    ("nothing but a quotation", b"\r\n> only\r\n> this\r\n", "quoted"),
    ("html", part("text/html; charset=utf-8", "<html><head><title>no</title><style>p { color: red }</style></head><body><p>Hello</p><p>world</p></body></html>"), "title"),
    ("entities", part("text/html", "a &amp; b &lt;c&gt; &quot;d&quot; &nbsp;e &eacute; &#228; &#x20AC;"), "nbsp"),
    ("a script", part("text/html", "<script>if (a < b) '<p>'</script>shown"), None),
    ("a comment", part("text/html", "a<!-- <p>no --> b"), None),
    ("words within a line", part("text/html", "a<b>b</b>c<br>d<span>e</span>"), "inline"),
    ("a quotation in html", part("text/html", "<blockquote>said before</blockquote><p>and now</p>"), "blockquote"),
    ("both", multipart("alternative", PLAIN, HTML), None),
    ("both, html first", multipart("alternative", HTML, PLAIN), None),
    ("html beside nothing", multipart("alternative", part("text/plain", " \r\n"), HTML), "blank"),
    ("two texts", multipart("mixed", PLAIN, part("text/plain", "second")), None),
    ("text behind a picture", multipart("mixed", part("image/png", "x", "base64"), PLAIN), None),
    ("an attached text", multipart("mixed", part("text/plain", "no", None, "Content-Disposition: attachment; filename=x\r\n"), PLAIN), "attached"),
    ("a picture alone", part("image/png", "x", "base64"), None),
    ("a forwarded message", multipart("mixed", part("message/rfc822", b"Subject: in\r\n\r\nforwarded"), PLAIN), None),
    ("related", multipart("related", HTML, part("image/png", "x", "base64")), None),
]
# Why the servers differ; a reason that explains nothing any more is a failure.
REASONS = {
    "quoted": "nothing but a quotation: we show it without its marks, Dovecot with them",
    "blockquote": "RFC 8970 leaves open what is worth showing: Dovecot leaves out what stands in <blockquote>, we show it",
    "blank": "a plain form that is blank: we show the other form, Dovecot nothing",
    "attached": "the first text is an attachment: we go on to the text behind it, Dovecot shows nothing",
    "title": "the title of a page is no text of the message: Dovecot shows it",
    "nbsp": "a space that does not break beside one that does: we show one, Dovecot both",
    "inline": "a tag within a word parts it with Dovecot; with us those that stand within lines part nothing",
}

# Commands that make a message, in the words of both servers.
CATENATE = [
    "(URL \"/INBOX/;UID=1\")",
    "(URL \"/INBOX/;UID=18/;SECTION=HEADER\" TEXT {4+}\r\nhi\r\n)",
    "(TEXT {9+}\r\nSubject:  URL \"/INBOX/;UID=18/;SECTION=1\" TEXT {4+}\r\n\r\n\r\n URL \"/INBOX/;UID=18/;SECTION=2\")",
    "(URL \"/INBOX/;UID=18/;SECTION=1.MIME\" URL \"/INBOX/;UID=18/;SECTION=2.MIME\")",
    "(URL \"/INBOX/;UID=25/;SECTION=1\" URL \"/INBOX/;UID=25/;SECTION=1.HEADER\" URL \"/INBOX/;UID=25/;SECTION=1.TEXT\")",
    "(URL \"/INBOX/;UID=7/;SECTION=1\")",
    "(URL \"/INBOX/;UID=7/;SECTION=TEXT\")",
    "(URL \"/INBOX/;UID=4/;SECTION=HEADER.FIELDS%20(SUBJECT)\" TEXT {2+}\r\n\r\n)",
    "(URL \"/INBOX/;UID=4/;PARTIAL=9.30\")",
    "(URL \"/INBOX/;UID=4/;SECTION=TEXT/;PARTIAL=0.5\" URL \"/INBOX/;UID=4/;SECTION=TEXT/;PARTIAL=480\")",
    "(URL \"/INBOX/;UID=999\")",
    "(URL \"/INBOX/;UID=18/;SECTION=7\")",
    "(URL \"/Missing/;UID=1\")",
    "(URL \"/INBOX;UIDVALIDITY=1/;UID=1\")",
    "(URL \"imap://elsewhere.example/INBOX/;UID=1\")",
    "(URL \"/INBOX\")",
    "(URL \"\")",
    "(TEXT {2+}\r\nhi URL \"/INBOX/;UID=999\" TEXT {9+}\r\nx LOGOUT\r)",
    "()",
    "(TEXT {0+}\r\n)",
    "(TEXT \"hi\")",
    "(\\Seen) CATENATE (TEXT {2+}\r\nhi)",
]
# Which of them are answered otherwise: what we say, what Dovecot says, and why.
URL_OF_NOTHING = ("NO [BADURL", "NO [CANNOT", "RFC 4469 section 4.1: what names no message is told with the URL")
DIFFERENT = {
    "(URL \"/INBOX/;UID=18/;SECTION=7\")": ("NO [BADURL", "OK [APPENDUID", "RFC 4469 section 3: a part that is not there cannot be put into a message"),
    "(URL \"/INBOX\")": URL_OF_NOTHING,
    "(URL \"\")": URL_OF_NOTHING,
    "(TEXT {0+}\r\n)": ("NO [CANNOT", "OK [APPENDUID", "a message of nothing is refused, as by APPEND"),
}


def make(folder):
    for number, (_, octets, _) in enumerate(MESSAGES, 1):
        octets = b"Subject: %d\r\nMIME-Version: 1.0\r\n" % number + octets
        name = "%d.M%06dP1.mx,S=%d,W=%d:2," % (1760000000, number, len(octets), len(octets))
        with open(os.path.join(folder, "cur", name), "wb") as file:
            file.write(octets)


def ask(client, command):
    """The untagged answers, and the last one."""
    tag = client._new_tag()
    client.send(tag + b" " + command.encode() + b"\r\n")
    lines = []
    while True:
        line = client.readline()
        while announced := re.search(rb"\{(\d+)\}\r\n$", line):
            line = line[:announced.start()] + b'"' + client.read(int(announced[1])) + b'"' + client.readline()
        if line.startswith(tag + b" "):
            return lines, line[len(tag) + 1:].strip()
        lines.append(line.strip())


def previews(client):
    client.select("INBOX", True)
    shown = {}
    for line in ask(client, "UID FETCH 1:* (PREVIEW)")[0]:
        if found := re.match(rb"\* \d+ FETCH \(UID (\d+) PREVIEW (.*)\)$", line, re.S):
            shown[int(found[1])] = found[2].decode().replace('\\"', '"').rstrip()
    if sorted(shown) != list(range(1, len(MESSAGES) + 1)):
        sys.exit("PREVIEW of %s" % sorted(shown))
    return shown


def made(client):
    client.select("INBOX", True)
    told = []
    for words in CATENATE:
        client.create("Made")
        first, rest = (words, "") if not words.startswith("(\\Seen)") else words.split(" ", 1)
        last = ask(client, "APPEND Made " + (words if rest else "CATENATE " + words))[1]
        condition = re.match(rb"(OK|NO|BAD)( \[[A-Z]+)?", last)[0].decode()
        ask(client, "EXAMINE Made")
        fetched = ask(client, "FETCH 1:* BODY.PEEK[]")[0]
        octets = [line.partition(b" BODY[] ")[2] for line in fetched if b" BODY[] " in line]
        told.append((condition, octets))
        client.select("INBOX", True)
        client.delete("Made")
    return told


def compare(dovecot):
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    ours = imaplib.IMAP4_SSL("127.0.0.1", int(os.environ["IMAPS"]), ssl_context=context)
    ours.login(os.environ["ACCOUNT"], os.environ["PASSWORD"])
    theirs = imaplib.IMAP4_stream(dovecot)
    wrong, used = 0, {}
    one, other = previews(ours), previews(theirs)
    for number, (what, _, reason) in enumerate(MESSAGES, 1):
        if one[number] != other[number] and reason:
            used.setdefault(reason, []).append(what)
        elif one[number] != other[number] or reason:
            wrong += 1
            print("not ok: PREVIEW of %s: ours %s, theirs %s (%s)" % (what, one[number], other[number], reason))
    same = len(MESSAGES) - sum(map(len, used.values()))
    print("ok: PREVIEW of %d messages: %d the same" % (len(MESSAGES), same))
    for reason, whats in used.items():
        print("   %s: %s" % (REASONS[reason], ", ".join(whats)))
    equal = 0
    for words, (we, our_octets), (they, their_octets) in zip(CATENATE, made(ours), made(theirs)):
        if (we, our_octets) == (they, their_octets) and words not in DIFFERENT:
            equal += 1
        elif DIFFERENT.get(words, ("",))[:2] == (we, they) and not our_octets:
            print("   %r: %s" % (words, DIFFERENT[words][2]))
        else:
            wrong += 1
            print("not ok: CATENATE %r: ours %s %s, theirs %s %s" % (words, we, our_octets, they, their_octets))
    print("ok: CATENATE of %d lists: %d the same, answers and octets" % (len(CATENATE), equal))
    sys.exit(1 if wrong else 0)


if sys.argv[1] == "make":
    make(sys.argv[2])
else:
    compare(sys.argv[2])
