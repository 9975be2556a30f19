#!/usr/bin/env python3
"""Loads the server until it is killed, and looks afterwards whether everything that it said is true. Run by 80-kill.sh.

load ROUND: sessions deliver numbered messages by SMTP; others append, flag, copy, move and expunge messages by IMAP; one
reads what comes into INBOX. Everything is written down before it is asked for and when it was acknowledged.
audit: reads everything by IMAP and from the disk and compares. What was asked for and not acknowledged may be or not.
empty: removes all messages, so that a long run stays as fast as it began."""
import collections
import glob
import json
import os
import random
import re
import socket
import ssl
import sys
import threading

mode, smtp, imaps, user, password, maildir, record = sys.argv[1:8]
lock = threading.Lock()
notes = open(record, "a", buffering=1)


def note(**what):
    with lock:
        notes.write(json.dumps(what) + "\n")


class Refused(Exception):
    """The server said no, which it never has to here."""


class Imap:
    def __init__(self):
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        self.socket = context.wrap_socket(socket.create_connection(("127.0.0.1", int(imaps)), timeout=60))
        self.lines, self.number = self.socket.makefile("rb"), 0
        self.line()
        self.ask(f"LOGIN {user} {password}")

    def line(self):
        """A line with its literals in it."""
        whole = b""
        while True:
            part = self.lines.readline()
            if not part.endswith(b"\n"):
                raise ConnectionError("cut off")
            whole += part
            literal = re.search(rb"\{(\d+)\}\r\n$", part)
            if not literal:
                return whole
            text = self.lines.read(int(literal[1]))
            if len(text) < int(literal[1]):
                raise ConnectionError("cut off")
            whole += text

    def ask(self, command, literal=None):
        """Returns the untagged lines and the tagged one."""
        self.number += 1
        tag = b"t%d" % self.number
        text = tag + b" " + command.encode() + (b" {%d}\r\n" % len(literal) if literal is not None else b"\r\n")
        self.socket.sendall(text)
        untagged = []
        while True:
            line = self.line()
            if line.startswith(b"+") and literal is not None:
                self.socket.sendall(literal + b"\r\n")
            elif line.startswith(tag + b" "):
                if not line.startswith(tag + b" OK"):
                    raise Refused(command, line)
                return untagged, line
            else:
                untagged.append(line)

    def select(self, box):
        # Sessions select at the same time: an answer may be overtaken on its way into the record by one that is newer.
        token = f"{os.getpid()}-{threading.get_ident()}-{self.number}"
        note(box=box, selecting=token)
        untagged, _ = self.ask(f"SELECT {box}")
        validity, following = (re.search(rb"\[%s (\d+)\]" % code, b"".join(untagged)) for code in (b"UIDVALIDITY", b"UIDNEXT"))
        note(box=box, validity=int(validity[1]), next=int(following[1]), selected=token)

    def fetch(self, uids):
        """uid -> (ident, flags)"""
        untagged, _ = self.ask(f"UID FETCH {uids} (UID FLAGS BODY.PEEK[HEADER.FIELDS (X-Ident)])")
        found = {}
        for line in untagged:
            if b" FETCH (" in line and b"X-Ident: " in line:
                flags = re.search(rb"FLAGS \(([^)]*)\)", line)[1].decode().split()
                ident = re.search(rb"X-Ident: (\S+)", line)[1].decode()
                found[int(re.search(rb"UID (\d+)", line)[1])] = (ident, sorted(set(flags) - {"\\Recent"}))
        return found


def message(ident, n):
    body = f"{ident} " * (1 + n % 200)
    return f"Subject: load\r\nX-Ident: {ident}\r\n\r\n{body}\r\nend of {ident}\r\n".encode()


def deliver(name):
    s = socket.create_connection(("127.0.0.1", int(smtp)), timeout=60)
    lines = s.makefile("rb")

    def ask(text, code):
        s.sendall(text)
        while True:
            line = lines.readline()
            if not line.startswith(code):
                # A line that the kill cut short is no reply.
                if line.endswith(b"\n"):
                    raise Refused(text[:40], line)
                raise ConnectionError("cut off")
            if line[3:4] == b" ":
                return

    ask(b"", b"220")
    ask(b"EHLO load.example\r\n", b"250")
    for n in range(100000):
        ident = f"{name}-{n}"
        ask(b"MAIL FROM:<a@load.example>\r\n", b"250")
        ask(f"RCPT TO:<{user}>\r\n".encode(), b"250")
        ask(b"DATA\r\n", b"354")
        ask(message(ident, n) + b".\r\n", b"250")
        note(box="INBOX", came=ident)


def work(name):
    """Messages of its own, in a mailbox that others work in at the same time."""
    imap, mine = Imap(), []
    imap.select("Work")
    for n in range(100000):
        what = random.choice(["append", "flag", "flag", "copy", "move", "expunge"]) if len(mine) > 3 else "append"
        if what == "append":
            ident, flags = f"{name}-{n}", random.choice([[], ["\\Seen"], ["\\Flagged", "work"]])
            _, line = imap.ask(f"APPEND Work ({' '.join(flags)})", message(ident, n))
            uid = int(re.search(rb"\[APPENDUID \d+ (\d+)\]", line)[1])
            note(box="Work", came=ident, uid=uid, flags=flags)
            mine.append((uid, ident))
            continue
        uid, ident = random.choice(mine)
        if what == "flag":
            flags = random.choice([["\\Answered"], ["\\Flagged", "\\Seen"], ["later"], ["\\Draft", "work"]])
            note(box="Work", asked=ident, flags=flags)
            imap.ask(f"UID STORE {uid} FLAGS ({' '.join(flags)})")
            note(box="Work", set=ident, flags=flags)
        elif what == "copy":
            note(box="Copies", asked=ident)
            _, line = imap.ask(f"UID COPY {uid} Copies")
            note(box="Copies", came=ident, uid=int(re.search(rb"\[COPYUID \d+ \d+ (\d+)\]", line)[1]))
        elif what == "move":
            note(box="Work", leaves=ident)
            untagged, line = imap.ask(f"UID MOVE {uid} Copies")
            there = re.search(rb"\[COPYUID \d+ \d+ (\d+)\]", b"".join(untagged) + line)
            note(box="Copies", came=ident, uid=int(there[1]))
            note(box="Work", left=ident)
            mine.remove((uid, ident))
        else:
            note(box="Work", asked=ident, flags=["\\Deleted"])
            imap.ask(f"UID STORE {uid} FLAGS (\\Deleted)")
            note(box="Work", set=ident, flags=["\\Deleted"])
            note(box="Work", leaves=ident)
            imap.ask(f"UID EXPUNGE {uid}")
            note(box="Work", left=ident)
            mine.remove((uid, ident))


def read():
    """A UID that a client heard is that message's for ever."""
    imap, last = Imap(), 0
    imap.select("INBOX")
    untagged, _ = imap.ask("UID SEARCH RETURN (MAX) ALL")
    highest = re.search(rb"MAX (\d+)", b"".join(untagged))
    last = int(highest[1]) if highest else 0
    while True:
        for uid, (ident, _) in sorted(imap.fetch(f"{last + 1}:*").items()):
            if uid > last:
                note(box="INBOX", told=ident, uid=uid)
                last = uid
        imap.ask("NOOP")


def run(session, *args):
    try:
        session(*args)
    except (OSError, ConnectionError):
        pass
    except Refused as refused:
        note(trouble=str(refused))


def load(number):
    sessions = [(deliver, f"{number}-d{n}") for n in range(8)] + [(work, f"{number}-w{n}") for n in range(3)] + [(read,)]
    threads = [threading.Thread(target=run, args=session) for session in sessions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def audit():
    wrong = []
    came, told, flags, asked_flags = (collections.defaultdict(dict) for _ in range(4))
    maybe, gone, leaving = (collections.defaultdict(set) for _ in range(3))
    validity, following, least = {}, collections.Counter(), {}
    for line in open(record):
        what = json.loads(line)
        if "trouble" in what:
            wrong.append(f"refused: {what['trouble']}")
            continue
        box = what["box"]
        if "validity" in what:
            if validity.setdefault(box, what["validity"]) != what["validity"]:
                wrong.append(f"{box}: UIDVALIDITY {validity[box]} became {what['validity']}")
            if what["next"] < least.get(what["selected"], 0):
                wrong.append(f"{box}: UIDNEXT fell from {least[what['selected']]} to {what['next']}")
            following[box] = max(following[box], what["next"])
        if "selecting" in what:
            least[what["selecting"]] = following[box]
        if "came" in what:
            came[box][what["came"]] = what.get("uid")
            if "flags" in what:
                flags[box][what["came"]] = what["flags"]
        if "told" in what:
            told[box][what["told"]] = what["uid"]
        if "asked" in what:
            maybe[box].add(what["asked"])
            if "flags" in what:
                asked_flags[box][what["asked"]] = what["flags"]
        if "set" in what:
            flags[box][what["set"]] = what["flags"]
        if "leaves" in what:
            leaving[box].add(what["leaves"])
        if "left" in what:
            gone[box].add(what["left"])
    counted = sum(len(idents) for idents in came.values())
    imap = Imap()
    for box, folder in (("INBOX", ""), ("Work", "/.Work"), ("Copies", "/.Copies")):
        imap.select(box)
        there = imap.fetch("1:*")
        uids = collections.defaultdict(list)
        for uid, (ident, _) in there.items():
            uids[ident].append(uid)
        for ident, uid in list(came[box].items()) + list(told[box].items()):
            if ident in gone[box]:
                continue
            if uid is None and not uids[ident] or uid is not None and uid not in uids[ident]:
                if ident not in leaving[box]:
                    wrong.append(f"{box}: {ident} (UID {uid}) is lost; it is under {uids[ident]}")
            # In Copies a message may be several times: copied, and then moved.
            if len(uids[ident]) > 1 and box != "Copies":
                wrong.append(f"{box}: {ident} is there {len(uids[ident])} times")
        for ident in gone[box]:
            if uids[ident]:
                wrong.append(f"{box}: {ident} was expunged and is there as {uids[ident]}")
        for ident, wanted in flags[box].items():
            if ident in gone[box] or not uids[ident]:
                continue
            seen = there[uids[ident][0]][1]
            if seen not in (sorted(wanted), sorted(asked_flags[box].get(ident, wanted))):
                wrong.append(f"{box}: {ident} has {seen} instead of {wanted}")
        # A move that was not acknowledged has left the message in one of the two.
        if box == "Copies":
            for ident in leaving["Work"] - gone["Work"]:
                if ident not in in_work and not uids[ident] and asked_flags["Work"].get(ident) != ["\\Deleted"]:
                    wrong.append(f"{ident} was lost on its way from Work to Copies")
        in_work = {ident for ident in uids if uids[ident]} if box == "Work" else set()
        files = glob.glob(f"{maildir}{folder}/new/*") + glob.glob(f"{maildir}{folder}/cur/*")
        if len(files) != len(there):
            wrong.append(f"{box}: {len(files)} files and {len(there)} messages")
        for path in files:
            with open(path, "rb") as f:
                text = f.read()
            ident = text.split(b"X-Ident: ", 1)[-1].split(b"\n", 1)[0].strip().decode()
            if not text.endswith(f"\nend of {ident}\n".encode()):
                wrong.append(f"{path} is cut")
    for line in wrong[:20]:
        print("WRONG:", line)
    if wrong:
        sys.exit(f"{len(wrong)} things are not as the server said")
    changed = sum(len(idents) for idents in flags.values()), sum(len(idents) for idents in gone.values())
    print(f"ok: {counted} messages delivered, appended and copied, the flags of {changed[0]}, {changed[1]} removed: all as acknowledged")
    if len(came["INBOX"]) < 20 or len(came["Work"]) < 5 or changed[1] < 1:
        sys.exit(f"that is no load: {len(came['INBOX'])} deliveries, {len(came['Work'])} appended, {changed[1]} removed")


def empty():
    imap = Imap()
    for box in ("INBOX", "Work", "Copies"):
        imap.select(box)
        if imap.fetch("1:*"):
            imap.ask("UID STORE 1:* +FLAGS.SILENT (\\Deleted)")
            imap.ask("EXPUNGE")
    # The numbering goes on: what it was is kept.
    kept = [line for line in open(record) if "validity" in json.loads(line)]
    with open(record + ".new", "w") as f:
        f.writelines(kept)
    os.replace(record + ".new", record)


if mode == "load":
    load(sys.argv[8])
elif mode == "make":
    imap = Imap()
    imap.ask("CREATE Work")
    imap.ask("CREATE Copies")
elif mode == "audit":
    audit()
elif mode == "empty":
    empty()
