#!/usr/bin/env python3
"""Clients of our server and of Dovecot on one folder. Run by 77-dovecot-swap.sh."""
import hashlib
import os
import random
import re
import select
import smtplib
import socket
import ssl
import subprocess
import sys
import threading
import time


class Imap:
    def __init__(self, side):
        self.side, self.number = side, 0
        if side == "ours":
            context = ssl.create_default_context()
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            raw = socket.create_connection(("127.0.0.1", int(os.environ["IMAPS"])), timeout=60)
            self.socket = context.wrap_socket(raw)
            self.lines, self.write = self.socket.makefile("rb"), self.socket.sendall
            self.line()
            self.ask(f"LOGIN {os.environ['ACCOUNT']} {os.environ['PASSWORD']}")
        else:
            self.process = subprocess.Popen(os.environ["THEIRS"].split(), stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            self.lines = self.process.stdout

            def write(octets):
                self.process.stdin.write(octets)
                self.process.stdin.flush()

            self.write = write
            self.line()

    def line(self):
        """A line with its literals in it."""
        whole = b""
        while True:
            part = self.lines.readline()
            if not part.endswith(b"\n"):
                sys.exit(f"{self.side} hung up behind {whole[:100]}")
            whole += part
            literal = re.search(rb"\{(\d+)\}\r\n$", part)
            if not literal:
                return whole
            whole += self.lines.read(int(literal[1]))

    def begin(self, command, literal=None):
        self.number += 1
        tag = b"t%d " % self.number
        if literal is not None:
            command += " {%d+}" % len(literal)
        self.write(tag + command.encode() + b"\r\n" + (literal + b"\r\n" if literal is not None else b""))
        return tag

    def ask(self, command, literal=None, may_fail=False):
        """The untagged lines, and the tagged one."""
        tag, untagged = self.begin(command, literal), []
        while True:
            line = self.line()
            if line.startswith(tag):
                if not line.startswith(tag + b"OK") and not may_fail:
                    sys.exit(f"{self.side}: {command}: {line}")
                return untagged, line
            untagged.append(line)

    def close(self):
        self.ask("LOGOUT")


def names(imap, command):
    listed = []
    for line in imap.ask(command)[0]:
        found = re.match(rb'\* (?:LIST|LSUB) \(([^)]*)\) "/" (?:"((?:[^"\\]|\\.)*)"|(\S+)|\{\d+\}\r\n(.*))\r\n', line, re.S)
        if found and b"\\Noselect" not in found[1] and b"\\NonExistent" not in found[1]:
            name = next(part for part in found.groups()[1:] if part is not None)
            listed.append(re.sub(rb"\\(.)", rb"\1", name))
    return sorted(listed)


def quoted(name):
    return '"' + name.decode().replace("\\", "\\\\").replace('"', '\\"') + '"'


def view(imap):
    """Everything that a client can see, as lines."""
    for name in names(imap, 'LSUB "" *'):
        yield f"subscribed {name.decode()}"
    for name in names(imap, 'LIST "" *'):
        untagged, _ = imap.ask(f"EXAMINE {quoted(name)}")
        numbers = [re.search(rb"\[%s (\d+)\]" % code, b"".join(untagged))[1].decode() for code in (b"UIDVALIDITY", b"UIDNEXT")]
        exists = next(int(line.split()[1]) for line in untagged if line.endswith(b"EXISTS\r\n"))
        yield f"{name.decode()} UIDVALIDITY {numbers[0]} UIDNEXT {numbers[1]} EXISTS {exists}"
        if not exists:
            continue
        for line in imap.ask("UID FETCH 1:* (UID FLAGS INTERNALDATE RFC822.SIZE BODY.PEEK[])")[0]:
            if b" FETCH (" not in line:
                continue
            head, octets = re.match(rb"(.*?) ?BODY\[\] (?:\{\d+\}\r\n|\")(.*?)(?:\"?\)|\))\r\n$", line, re.S).groups()
            # What stands behind the literal in other orders is not met: both write it last when it was asked for last.
            flags = sorted(set(re.search(rb"FLAGS \(([^)]*)\)", head)[1].split()) - {b"\\Recent"})
            date = re.search(rb'INTERNALDATE "([^"]*)"', head)[1]
            when = time.mktime(time.strptime(date[:-6].decode().strip(), "%d-%b-%Y %H:%M:%S")) - int(date[-5:-2]) * 3600 - int(date[-5:-4] + date[-2:]) * 60
            yield "%s %s %s [%s] %s %d %s" % (
                name.decode(),
                re.search(rb"UID (\d+)", head)[1].decode(),
                re.search(rb"RFC822.SIZE (\d+)", head)[1].decode(),
                b" ".join(flags).decode(),
                len(octets),
                when,
                hashlib.sha256(octets).hexdigest()[:16],
            )


def keywords(imap):
    """Three that have letters, or can have: there are 26 letters, and Dovecot's further ones are in its index alone."""
    untagged, _ = imap.ask("SELECT INBOX")
    known = next(line for line in untagged if line.startswith(b"* FLAGS "))
    known = [word for word in re.search(rb"\(([^)]*)\)", known)[1].decode().split() if word[0] not in "\\$"]
    return sorted(known)[:3] if len(known) > 20 else ["work", "later", "heard"]


def message(text):
    return f"From: a@elsewhere.example\r\nSubject: {text}\r\nX-Ident: {text}\r\n\r\n{text}\r\n".encode()


def fill(imap):
    for name in ("Archive/2026", "Sent"):
        imap.ask(f'CREATE "{name}"')
        imap.ask(f'SUBSCRIBE "{name}"')
    for n in range(20):
        imap.ask("APPEND INBOX (\\Seen work)" if n % 2 else "APPEND INBOX ()", message(f"first {n}"))
    imap.ask("SELECT INBOX")
    imap.ask("COPY 1:10 Archive/2026")


def work(imap):
    """Some of everything that a client does."""
    side, (one, two, three) = imap.side, keywords(imap)
    imap.ask(f'CREATE "Made/{side}"')
    imap.ask(f'SUBSCRIBE "Made/{side}"')
    for n in range(12):
        flags = ["", "\\Seen", f"\\Flagged {one}", f"\\Draft {two}"][n % 4]
        imap.ask(f"APPEND INBOX ({flags})", message(f"{side} {n}"))
    imap.ask("SELECT INBOX")
    found = imap.ask("UID SEARCH ALL")[0]
    uids = b"".join(line for line in found if line.startswith(b"* SEARCH")).decode().split()[2:]
    imap.ask(f"UID STORE {uids[-1]} FLAGS (\\Answered {three})")
    imap.ask(f"UID STORE {uids[-2]} -FLAGS (\\Seen)")
    imap.ask(f'UID COPY {uids[-6]}:{uids[-3]} "Made/{side}"')
    imap.ask(f'UID MOVE {uids[-4]} "Made/{side}"')
    imap.ask(f"UID STORE {uids[-5]},{uids[0]} +FLAGS (\\Deleted)")
    imap.ask("EXPUNGE")
    imap.ask(f'RENAME "Made/{side}" "Made/by {side}"')
    imap.ask(f'UNSUBSCRIBE "Made/{side}"')
    imap.ask(f'SUBSCRIBE "Made/by {side}"')


def lmtp(text):
    with smtplib.LMTP("127.0.0.1", int(os.environ["PEER_LMTP"])) as client:
        client.sendmail("a@elsewhere.example", [os.environ["ACCOUNT"]], message(text))


def hears(imap, what, wanted, act):
    """How long it takes until a session in IDLE hears of something."""
    start = time.monotonic()
    act()
    acted, seen = time.monotonic(), b""
    while not re.search(wanted, seen):
        if not select.select([imap.socket], [], [], 20)[0] and not imap.socket.pending():
            sys.exit(f"{what}: nothing is heard but {seen}")
        seen += imap.line()
    took = time.monotonic() - acted
    if took > 1:
        sys.exit(f"{what}: heard only after {took:.1f} s")
    print(f"ok: {what}: heard {took * 1000:.0f} ms after it was done, which took {(acted - start) * 1000:.0f} ms")


def idle():
    ours, theirs = Imap("ours"), Imap("theirs")
    word = keywords(ours)[2]
    theirs.ask("SELECT INBOX")
    tag = ours.begin("IDLE")
    ours.line()
    hears(ours, "a delivery by Dovecot's LMTP", rb"EXISTS", lambda: lmtp("heard"))
    hears(ours, "an APPEND by Dovecot", rb"EXISTS", lambda: theirs.ask("APPEND INBOX (\\Seen)", message("heard too")))
    hears(ours, "a flag and a keyword set by Dovecot", rf"FETCH \(.*\\Flagged.*{word}|FETCH \(.*{word}.*\\Flagged".encode(),
          lambda: theirs.ask(f"STORE * +FLAGS (\\Flagged {word})"))
    theirs.ask("STORE * +FLAGS (\\Deleted)")
    hears(ours, "an EXPUNGE by Dovecot", rb"EXPUNGE", lambda: theirs.ask("EXPUNGE"))
    folder = os.environ["MAILDIR"]

    def moved():
        with open(f"{folder}/tmp/1.mv", "w") as f:
            f.write("Subject: mv\n\nmv\n")
        os.chown(f"{folder}/tmp/1.mv", 65534, 65534)
        os.rename(f"{folder}/tmp/1.mv", f"{folder}/new/{int(time.time())}.mv")

    hears(ours, "a file put there with mv", rb"EXISTS", moved)
    ours.write(b"DONE\r\n")
    while not ours.line().startswith(tag):
        pass
    ours.close()
    theirs.close()


def both():
    """Two sessions of each and Dovecot's LMTP, at random, on one mailbox; then every view is checked against the others."""
    seed = int(os.environ.get("SEED", time.time_ns() % 1000000))
    seconds = float(os.environ.get("SECONDS_AT_ONCE", 8))
    print(f"seed {seed}")
    until = time.monotonic() + seconds
    troubles, counts = [], {}

    def client(side, number):
        try:
            chance, imap, known = random.Random(seed + number), Imap(side), 0
            one, two, _ = keywords(imap)

            def follow(lines):
                nonlocal known
                for line in lines:
                    found = re.match(rb"\* (\d+) (EXISTS|EXPUNGE|FETCH)", line)
                    if not found:
                        continue
                    n = int(found[1])
                    if found[2] == b"EXISTS":
                        if n < known:
                            troubles.append(f"{side} {number}: EXISTS {n} below {known}")
                        known = n
                    elif n > known or n == 0:
                        troubles.append(f"{side} {number}: {line} with {known} messages")
                    elif found[2] == b"EXPUNGE":
                        known -= 1

            untagged, _ = imap.ask("SELECT INBOX")
            known = next(int(line.split()[1]) for line in untagged if line.endswith(b"EXISTS\r\n"))
            done = 0
            while time.monotonic() < until:
                what = chance.choice(["append", "append", "flag", "flag", "flag", "expunge", "noop", "copy"])
                if what == "append" or known < 5:
                    flags = chance.choice(["", "\\Seen", f"\\Flagged {one}"])
                    follow(imap.ask(f"APPEND INBOX ({flags})", message(f"both {side} {number} {done}"))[0])
                elif what == "flag":
                    n = chance.randint(1, known)
                    how = chance.choice(["+FLAGS", "-FLAGS", "FLAGS"])
                    what = chance.choice(["", "\\Seen", two, f"\\Answered {one}"])
                    # What others expunged meanwhile is answered NO by some.
                    follow(imap.ask(f"STORE {n} {how} ({what})", may_fail=True)[0])
                elif what == "expunge":
                    follow(imap.ask(f"STORE {chance.randint(1, known)} +FLAGS (\\Deleted)", may_fail=True)[0])
                    follow(imap.ask("EXPUNGE")[0])
                elif what == "copy":
                    follow(imap.ask(f"COPY {chance.randint(1, known)} INBOX", may_fail=True)[0])
                else:
                    follow(imap.ask("NOOP")[0])
                done += 1
            counts[f"{side} {number}"] = done
            follow(imap.ask("NOOP")[0])
            imap.close()
        except SystemExit as exit:
            troubles.append(str(exit))
        except Exception as error:
            troubles.append(f"{side} {number}: {error!r}")

    def deliver():
        done = 0
        while time.monotonic() < until:
            lmtp(f"both lmtp {done}")
            done += 1
        counts["lmtp"] = done

    threads = [threading.Thread(target=client, args=(side, n)) for n, side in enumerate(["ours", "theirs", "ours", "theirs"])]
    threads.append(threading.Thread(target=deliver))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if troubles or len(counts) != len(threads):
        sys.exit("\n".join(troubles[:10]) or f"only {counts}")
    print(f"ok: both at once: {', '.join(f'{name} {count}' for name, count in sorted(counts.items()))}")


mode = sys.argv[1]
if mode in ("view", "fill", "work"):
    imap = Imap(sys.argv[2])
    if mode == "view":
        print("\n".join(view(imap)))
    else:
        {"fill": fill, "work": work}[mode](imap)
    imap.close()
else:
    {"idle": idle, "both": both}[mode]()
