"""Makes a Maildir of messages that answer each other, and asks two servers to sort and thread it."""
import imaplib, os, random, ssl, sys

SUBJECTS = ["pears", "Apples", "\u00c4pfel", "=?utf-8?q?=C3=A4pfel?=", "[list] pears", "stra\u00dfe", "", "a (fwd)", "[fwd: b]",
            "two  words", "two\twords", "re", "[x][y]", "\u5b57", "z" * 200, "\u00e9t\u00e9", "E\u0301te\u0301"]
PREFIXES = ["", "", "", "Re: ", "RE : ", "Fwd: ", "re[2]: ", "[list] Re: ", "fw [x] : ", "Fw: re: "]
NAMES = ["Ann", "bob", "=?utf-8?q?C=C3=A4sar?=", "\"Doe, Joe\"", "", "Zo\u00eb"]


def make(folder):
    dice = random.Random(4711)
    for number in range(2000):
        lines = []
        if dice.random() < 0.97:
            # Many messages of one second, and of one moment in other zones.
            zone = dice.choice([0, 1, -8, 5])
            hour = 12 + zone
            lines.append("Date: %d Mar 2026 %02d:%02d:00 %+03d00" % (dice.randrange(1, 15), hour, dice.randrange(60), zone))
        lines.append("Subject: %s%s" % (dice.choice(PREFIXES), dice.choice(SUBJECTS)))
        for field, chance in [("From", 0.98), ("To", 0.9), ("Cc", 0.3)]:
            if dice.random() < chance:
                name, local = dice.choice(NAMES), dice.choice(["ann", "Bob", "carl.x", "dora", "zack"])
                address = "%s@%s.example" % (local, dice.choice("abc"))
                lines.append("%s: %s" % (field, "%s <%s>" % (name, address) if name else address))
        own = "%d" % (number if dice.random() < 0.95 else dice.randrange(number + 1))
        if dice.random() < 0.95:
            lines.append("Message-ID: <%s@x.example>" % (own if dice.random() < 0.8 else '"%s"' % own))
        if number and dice.random() < 0.6:
            near = lambda: "<%d@x.example>" % dice.randrange(max(0, number - 300), min(2400, number + 40))
            if dice.random() < 0.7:
                lines.append("References: " + "\r\n ".join(near() for _ in range(dice.randrange(1, 7))))
            else:
                lines.append("In-Reply-To: %s (%s)" % (near(), near()))
        text = "\r\n".join(lines + ["", "body %d" % number, ""]).encode()
        name = "%d.M%06dP1.mx,S=%d,W=%d:2,%s" % (1760000000 + number // 2, number, len(text), len(text), "S" if number % 3 else "")
        path = os.path.join(folder, "cur", name)
        with open(path, "wb") as file:
            file.write(text)
        os.utime(path, (1770000000 + dice.randrange(1000), 1770000000 + dice.randrange(1000)))


COMMANDS = ["SORT (%s) UTF-8 ALL" % by for by in [
    "ARRIVAL", "DATE", "REVERSE DATE", "SUBJECT", "REVERSE SUBJECT DATE", "FROM", "TO", "CC", "SIZE", "DISPLAYFROM", "DISPLAYTO SUBJECT",
    "REVERSE FROM REVERSE SIZE ARRIVAL"]] + [
    "UID SORT (SUBJECT) UTF-8 UNSEEN", "SORT RETURN (MIN MAX COUNT) (FROM DATE) UTF-8 ALL", "SORT RETURN (PARTIAL 100:120) (DATE) UTF-8 ALL",
    "SORT RETURN () (SUBJECT) UTF-8 SEEN", "THREAD ORDEREDSUBJECT UTF-8 ALL", "THREAD REFERENCES UTF-8 ALL", "UID THREAD REFERENCES UTF-8 SEEN"]


def answers(client):
    client.select("INBOX", True)
    told = []
    for command in COMMANDS:
        tag = client._new_tag()
        client.send(tag + b" " + command.encode() + b"\r\n")
        lines = []
        while True:
            line = client.readline().rstrip(b"\r\n")
            if line.startswith(tag):
                if not line.startswith(tag + b" OK"):
                    sys.exit("%s: %s" % (command, line))
                break
            if line.startswith((b"* SORT", b"* THREAD", b"* ESEARCH")):
                lines.append(line.replace(tag, b"TAG"))
        told.append(b"\n".join(lines))
    client.logout()
    return told


def compare(dovecot):
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    ours = imaplib.IMAP4_SSL("127.0.0.1", int(os.environ["IMAPS"]), ssl_context=context)
    ours.login(os.environ["ACCOUNT"], os.environ["PASSWORD"])
    differ = 0
    for command, one, other in zip(COMMANDS, answers(ours), answers(imaplib.IMAP4_stream(dovecot))):
        if one == other:
            print("ok: %s: the same, %d octets" % (command, len(one)))
            continue
        differ += 1
        at = next((at for at, (a, b) in enumerate(zip(one, other)) if a != b), min(len(one), len(other)))
        print("not ok: %s: behind %d of %d octets\n  ours   ..%s\n  theirs ..%s" % (
            command, at, len(other), one[max(0, at - 60):at + 60].decode(), other[max(0, at - 60):at + 60].decode()))
    sys.exit(1 if differ else 0)


imaplib._MAXLINE = 1 << 24
if sys.argv[1] == "make":
    make(sys.argv[2])
else:
    compare(sys.argv[2])
