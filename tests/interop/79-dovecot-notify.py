"""Does the same in one session of two servers, and compares what another session, which gave NOTIFY, is told of messages.

Changes of names are not compared: of CREATE, SUBSCRIBE and DELETE by another process Dovecot 2.3.19 was not seen to tell anything within
eight seconds, and of RENAME it told no old name."""
import imaplib, os, queue, re, ssl, sys, threading

MESSAGE = b"Subject: hi\r\nFrom: me@example.org\r\n\r\nHello\r\n"
# For the first line of an answer, and for one more. Dovecot gathers for up to a second, we for as long.
FIRST, MORE = 8, 2


class Session:
    """One session, whose lines a thread reads as they come."""

    def __init__(self, client):
        self.client, self.lines, self.count = client, queue.Queue(), 0
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        try:
            while True:
                line = self.client.readline()
                while literal := re.search(rb"\{(\d+)\}\r\n$", line):
                    line = line[: literal.start()] + b"<" + self.client.read(int(literal.group(1))) + b">"
                    line += self.client.readline()
                self.lines.put(line)
                if not line:
                    return
        except (OSError, ValueError, imaplib.IMAP4.abort):
            self.lines.put(b"")

    def say(self, command):
        """All that comes up to the end of the command, and how it ended."""
        self.count += 1
        tag = b"x%d " % self.count
        self.client.send(tag + command + b"\r\n")
        told = []
        while True:
            line = self.lines.get(timeout=30)
            if not line:
                raise SystemExit("the connection ended at %r" % command)
            if line.startswith(tag):
                return told, line[len(tag) :]
            told.append(line)

    def ok(self, command):
        told, end = self.say(command)
        if not end.startswith(b"OK"):
            raise SystemExit("%r: %r" % (command, end))
        return told

    def hears(self):
        """What is told without being asked for, until nothing more comes."""
        told = []
        try:
            while line := self.lines.get(timeout=MORE if told else FIRST):
                told.append(line)
        except queue.Empty:
            pass
        return told


def plain(line):
    """A line without what two servers may choose for themselves."""
    line = line.decode().strip()
    line = re.sub(r" (UIDVALIDITY|HIGHESTMODSEQ) \d+", "", line)
    line = re.sub(r"\((HIGHESTMODSEQ|UIDVALIDITY) \d+ ?", "(", line)
    if found := re.match(r"\* (\d+) FETCH \(.*FLAGS \(([^)]*)\)", line):
        # We tell the UID beside changed flags and Dovecot the mod-sequence, though neither was asked for; \Recent is of IMAP4rev1.
        flags = sorted(set(found.group(2).split()) - {"\\Recent"})
        line = "* %s FETCH (FLAGS (%s))" % (found.group(1), " ".join(flags))
    if found := re.match(r'\* STATUS ("?)([^ "]+)\1 \((.*)\)$', line):
        words = found.group(3).split()
        pairs = sorted(zip(words[::2], words[1::2]))
        if len(pairs) > 1:
            # Dovecot adds it to whatever it tells.
            pairs = [pair for pair in pairs if pair[0] != "UNSEEN"]
        line = "* STATUS %s (%s)" % (found.group(2), " ".join("%s %s" % pair for pair in pairs))
    return line.replace("\r\n", "\\r\\n")


def append(mailbox):
    return b"APPEND %s {%d+}\r\n%s" % (mailbox, len(MESSAGE), MESSAGE)


def script(a, b):
    """What was done, and what the first session was told; of commands that are refused, how."""
    seen = []

    told_last = {}

    def step(what, lines):
        """Numbers of a mailbox that were told before are no news: Dovecot tells those of INBOX with each of another mailbox."""
        news = []
        for line in map(plain, lines):
            if line.endswith(" RECENT"):
                continue
            if line.startswith("* STATUS "):
                name = line.split()[2]
                if told_last.get(name) == line:
                    continue
                told_last[name] = line
            news.append(line)
        seen.append((what, sorted(news)))

    def when(*commands):
        for command in commands:
            b.ok(command)
        # Dovecot may see what happens in the selected mailbox only when it is asked.
        step(commands[-1].decode().split("\r\n")[0], a.hears() + a.ok(b"NOOP"))

    def refused(command):
        _, end = a.say(command)
        code = re.match(rb"\w+( \[\w+)?", end).group(0).replace(b" [", b" ").decode()
        seen.append((command.decode(), [code]))

    b.ok(b"CREATE Lists")
    told = b"NOTIFY SET STATUS (mailboxes (INBOX Lists) (MessageNew MessageExpunge FlagChange))"
    step(told.decode(), a.ok(told))
    when(append(b"Lists"))
    when(b"SELECT Lists", b"STORE 1 +FLAGS (\\Seen)")
    when(b"STORE 1 +FLAGS (\\Deleted)", b"EXPUNGE")
    b.ok(b"CLOSE")
    a.ok(b"SELECT INBOX")
    a.ok(
        b"NOTIFY SET (selected (MessageNew (UID BODY.PEEK[HEADER.FIELDS (SUBJECT)]) MessageExpunge FlagChange)) "
        b"(personal (MessageNew MessageExpunge))"
    )
    when(append(b"INBOX"))
    when(b"SELECT INBOX", b"STORE 1 +FLAGS (\\Flagged)")
    when(b"STORE 1 +FLAGS.SILENT (\\Flagged \\Deleted)")
    when(b"EXPUNGE")
    b.ok(b"CLOSE")
    a.ok(b"NOTIFY NONE")
    b.ok(append(b"Lists"))
    step("after NOTIFY NONE, NOOP", a.ok(b"NOOP"))
    refused(b"NOTIFY SET (mailboxes Lists (MessageNew))")
    refused(b"NOTIFY SET (selected (FlagChange))")
    refused(b"NOTIFY SET (personal (MessageNew (UID) MessageExpunge))")
    refused(b"NOTIFY SET (personal (AnnotationChange MessageNew MessageExpunge))")
    refused(b"NOTIFY SET (personal (SomethingElse))")
    refused(b"NOTIFY SET (selected (MailboxName))")
    refused(b"NOTIFY SET (subtree Lists (MailboxName))")
    refused(b"NOTIFY SET (inboxes none)")
    refused(b"NOTIFY NONE SET")
    return seen


# Where the answers differ, and why: ours first.
DIFFERENCES = {
    "NOTIFY SET (mailboxes Lists (MessageNew))": (
        (["BAD"], ["OK"]),
        "RFC 5465 §5: MessageNew and MessageExpunge are given together or not at all",
    ),
    "NOTIFY SET (personal (SomethingElse))": (
        (["NO BADEVENT"], ["BAD"]),
        "RFC 5465 §3.1: an event that is not known is refused with NO and BADEVENT, not with BAD",
    ),
    "NOTIFY SET (selected (MailboxName))": (
        (["BAD"], ["OK"]),
        "RFC 5465 §6.1: only events of messages are told of the selected mailbox",
    ),
    "NOTIFY NONE SET": ((["BAD"], ["OK"]), "RFC 5465 §8: nothing stands behind NONE"),
}

context = ssl.create_default_context()
context.check_hostname, context.verify_mode = False, ssl.CERT_NONE


def ours():
    client = imaplib.IMAP4_SSL("127.0.0.1", int(os.environ["IMAPS"]), ssl_context=context)
    client.login(os.environ["ACCOUNT"], os.environ["PASSWORD"])
    return Session(client)


def theirs():
    return Session(imaplib.IMAP4_stream(sys.argv[1]))


both = {}
ends = {"ours": ours, "theirs": theirs}


def run(name):
    a, b = ends[name](), ends[name]()
    offered = a.say(b"CAPABILITY")[0]
    if not any(b" NOTIFY" in line for line in offered):
        raise SystemExit("%s does not offer NOTIFY: %r" % (name, offered))
    both[name] = script(a, b)


threads = [threading.Thread(target=run, args=(name,)) for name in ends]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
if len(both) != 2:
    sys.exit(1)
differ = 0
for (what, one), (_, other) in zip(both["ours"], both["theirs"]):
    if one == other:
        print("ok: %s: %s" % (what, "; ".join(one) or "nothing"))
    elif DIFFERENCES.get(what, (None,))[0] == (one, other):
        print("ok: %s: %s; Dovecot: %s; %s" % (what, "; ".join(one), "; ".join(other) or "nothing", DIFFERENCES[what][1]))
    else:
        print("not ok: %s: ours %r, Dovecot %r" % (what, one, other))
        differ += 1


def names():
    """What our client hears of what Dovecot does in the same Maildir."""
    a = ours()
    a.ok(b"NOTIFY SET (personal (MailboxName SubscriptionChange MessageNew MessageExpunge))")
    b = Session(imaplib.IMAP4_stream(sys.argv[2]))
    wrong = 0
    for commands, expected in (
        ([b"CREATE Theirs"], ['* LIST (\\HasNoChildren) "/" Theirs', "* STATUS Theirs (MESSAGES 0 UIDNEXT 1)"]),
        ([append(b"Theirs")], ["* STATUS Theirs (MESSAGES 1 UIDNEXT 2)"]),
        ([b"SUBSCRIBE Theirs"], ['* LIST (\\HasNoChildren \\Subscribed) "/" Theirs']),
        ([b"UNSUBSCRIBE Theirs"], ['* LIST (\\HasNoChildren) "/" Theirs']),
        (
            [b"RENAME Theirs Others"],
            [
                '* LIST (\\HasNoChildren) "/" Others',
                '* LIST (\\NonExistent) "/" Theirs',
                "* STATUS Others (MESSAGES 1 UIDNEXT 2)",
            ],
        ),
        ([b"DELETE Others"], ['* LIST (\\NonExistent) "/" Others']),
    ):
        for command in commands:
            b.ok(command)
        told = sorted(map(plain, a.hears()))
        what = "Dovecot: " + commands[-1].decode().split("\r\n")[0]
        if told == expected:
            print("ok: %s: %s" % (what, "; ".join(told)))
        else:
            print("not ok: %s: %r instead of %r" % (what, told, expected))
            wrong += 1
    return wrong


sys.exit(1 if differ + names() else 0)
