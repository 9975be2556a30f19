#!/usr/bin/env python3
"""The same commands to two servers, in several sessions, and their answers but for what may differ. Run by 42-resync.sh and 75-resync-maildir.sh.

ours PORT USER PASSWORD | tls PORT USER PASSWORD | stdio COMMAND.. : plays the commands, prints what came as lines of `step<TAB>answer`.
compare OURS THEIRS: fails where they differ, but for what is listed below with its reason.
"""
import re
import socket
import ssl
import subprocess
import sys

# What differs, and why.
DIFFERS = {
    "b-store": "we tell the UID with all flags that are not asked for",
    "b-delete": "we tell the UID with all flags that are not asked for",
    "modified": "we tell what the message is now, which RFC 7162 §3.1.3 recommends",
    "uid-modified": "we tell what the messages are now, which RFC 7162 §3.1.3 recommends",
    "fetch-delays": "no mod-sequence that was told is above that of the expunge that waits, so nothing has to be taken back",
    "resync-matches": "we look at sequence match data also where we remember what was expunged (RFC 7162 §3.2.5.2)",
    "wrong: SELECT Resync (QRESYNC (0 1))": "0 is no UIDVALIDITY (RFC 7162 §7)",
    "wrong: FETCH 1 FLAGS (CHANGEDSINCE 0)": "0 is no mod-sequence here (RFC 7162 §7)",
    "wrong: FETCH 1 FLAGS (CHANGEDSINCE 9223372036854775808)": "a mod-sequence has 63 bits (RFC 7162 §7)",
    "wrong: SEARCH MODSEQ 9223372036854775808": "a mod-sequence has 63 bits (RFC 7162 §7)",
    "d-select-without-enable": "a command that is not understood changes nothing: the mailbox stays selected",
}


class Session:
    def __init__(self):
        self.count = 0
        if sys.argv[1] in ("ours", "tls"):
            connection = socket.create_connection(("127.0.0.1", int(sys.argv[2])))
            if sys.argv[1] == "tls":
                context = ssl.create_default_context()
                context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
                connection = context.wrap_socket(connection)
            self.stream = connection.makefile("rwb")
        else:
            self.process = subprocess.Popen(sys.argv[2:], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.read()
        if sys.argv[1] in ("ours", "tls"):
            self.say(f"LOGIN {sys.argv[3]} {sys.argv[4]}")

    def read(self):
        line = (self.process.stdout if sys.argv[1] == "stdio" else self.stream).readline()
        assert line.endswith(b"\r\n"), line
        return line[:-2].decode()

    def say(self, command):
        self.count += 1
        tag = f"t{self.count}"
        out = self.process.stdin if sys.argv[1] == "stdio" else self.stream
        out.write(f"{tag} {command}\r\n".encode())
        out.flush()
        lines = []
        while True:
            lines.append(self.read())
            if lines[-1].startswith(tag + " "):
                lines[-1] = lines[-1][len(tag) + 1 :]
                return lines


def words(line):
    """A line without what no standard prescribes."""
    if re.match(r"\* (FLAGS|\d+ RECENT|OK \[(PERMANENTFLAGS|UNSEEN|MAILBOXID|UIDNEXT|UIDVALIDITY)|LIST|CAPABILITY)", line):
        return None
    line = re.sub(r"(MODSEQ \(?)\d+", r"\1n", line)
    line = re.sub(r'TAG "[^"]*"', "TAG", line)
    line = re.sub(r"COPYUID \d+", "COPYUID v", line)
    if line.startswith("* ENABLED"):
        return " ".join(sorted(line.split()))
    fetch = re.match(r"(\* \d+ FETCH )\((.*)\)$", line)
    if fetch:
        flags = re.search(r"FLAGS \(([^)]*)\)", fetch[2])
        items = [re.sub(r" ?FLAGS \([^)]*\) ?", " ", fetch[2])]
        items = re.findall(r"[A-Z]+ (?:\([^)]*\)|\S+)", items[0])
        if flags:
            items.append("FLAGS " + " ".join(sorted(set(flags[1].split()) - {"\\Recent"})))
        return fetch[1] + " ".join(sorted(items))
    status = re.match(r"(\* )?(OK|NO|BAD)( \[[^\]]*\])?", line)
    return status[0] if status else line


def play():
    values = {}
    sessions = {}

    def step(name, who, command):
        if who not in sessions:
            sessions[who] = Session()
        lines = sessions[who].say(command.format(**values))
        told = [word for word in map(words, lines) if word]
        # HIGHESTMODSEQ may stand in the tagged answer or before it.
        highest = [word for word in told if "HIGHESTMODSEQ" in word]
        rest = [word.replace(" [HIGHESTMODSEQ n]", "") for word in told if word != "* OK [HIGHESTMODSEQ n]"]
        for word in rest[:-1] + (["highest"] if highest else []) + rest[-1:]:
            print(f"{name}\t{word}")
        return "\n".join(lines)

    def number(pattern, text):
        found = re.findall(pattern, text)
        assert found, text
        return int(found[-1])

    setup = Session()
    setup.say("CREATE Resync")
    setup.say("CREATE Elsewhere")
    for n in range(1, 11):
        assert setup.say(f"APPEND Resync {{{len(str(n))}+}}\r\n{n}")[-1].startswith("OK"), n
    step("enable", "a", "ENABLE QRESYNC")
    told = step("select", "a", "SELECT Resync")
    values["v"] = number(r"UIDVALIDITY (\d+)", told)
    values["h"] = number(r"HIGHESTMODSEQ (\d+)", told)
    step("fetch-modseq", "a", "FETCH 1:2 (MODSEQ)")
    step("fetch-flags", "a", "FETCH 1:2 (FLAGS)")
    step("b-select", "b", "SELECT Resync")
    step("b-store", "b", "STORE 2 +FLAGS (\\Flagged)")
    step("b-silent", "b", "STORE 2 +FLAGS.SILENT (\\Flagged)")
    step("noop-flags", "a", "NOOP")
    step("conditional", "a", "UID STORE 3 (UNCHANGEDSINCE {h}) +FLAGS.SILENT (\\Seen)")
    step("modified", "a", "STORE 2,7 (UNCHANGEDSINCE {h}) FLAGS.SILENT (\\Flagged)")
    step("uid-modified", "a", "UID STORE 1:3 (UNCHANGEDSINCE {h}) FLAGS (\\Draft)")
    step("plain-store", "a", "STORE 8 +FLAGS (\\Answered)")
    step("silent-store", "a", "STORE 8 +FLAGS.SILENT (\\Flagged)")
    values["h1"] = values["h"] + 1
    step("search", "a", "SEARCH MODSEQ {h1}")
    step("search-entry", "a", 'SEARCH MODSEQ "/flags/\\\\seen" all 1')
    step("uid-search", "a", "UID SEARCH MODSEQ {h1} FLAGGED")
    step("search-nothing", "a", "SEARCH MODSEQ 9223372036854775807")
    step("esearch-min", "a", "SEARCH RETURN (MIN) MODSEQ {h1}")
    step("esearch-all", "a", "UID SEARCH RETURN (ALL COUNT) MODSEQ {h1}")
    step("esearch-nothing", "a", "SEARCH RETURN (COUNT) MODSEQ 9223372036854775807")
    step("status", "a", "STATUS Elsewhere (MESSAGES HIGHESTMODSEQ)")
    step("changed-since", "a", "FETCH 1:* (FLAGS) (CHANGEDSINCE {h})")
    step("uid-changed-since", "a", "UID FETCH 1:* (FLAGS) (CHANGEDSINCE {h})")
    step("changed-since-huge", "a", "FETCH 1:* (FLAGS) (CHANGEDSINCE 9223372036854775807)")
    step("b-delete", "b", "STORE 4,6 +FLAGS.SILENT (\\Deleted)")
    step("b-expunge", "b", "EXPUNGE")
    step("fetch-delays", "a", "FETCH 1 (FLAGS)")
    step("noop-vanished", "a", "NOOP")
    step("uid-fetch-vanished", "a", "UID FETCH 1:10 (FLAGS) (CHANGEDSINCE {h} VANISHED)")
    step("uid-fetch-vanished-few", "a", "UID FETCH 5:6 (FLAGS) (CHANGEDSINCE {h} VANISHED)")
    step("delete", "a", "STORE 1 +FLAGS.SILENT (\\Deleted)")
    step("expunge", "a", "EXPUNGE")
    step("expunge-nothing", "a", "EXPUNGE")
    step("b-noop", "b", "NOOP")
    step("delete-more", "a", "UID STORE 2:3 +FLAGS.SILENT (\\Deleted)")
    step("uid-expunge", "a", "UID EXPUNGE 2")
    step("move", "a", "UID MOVE 5 Elsewhere")
    step("select-again", "a", "SELECT Elsewhere")
    step("unselect", "a", "UNSELECT")
    step("c-enable", "c", "ENABLE QRESYNC CONDSTORE")
    step("resync", "c", "SELECT Resync (QRESYNC ({v} {h}))")
    step("resync-known", "c", "SELECT Resync (QRESYNC ({v} {h} 3:7,10))")
    step("resync-matches", "c", "SELECT Resync (QRESYNC ({v} {h} 1:10 (1:2,4 3,7,9)))")
    step("resync-validity", "c", "SELECT Resync (QRESYNC (1 {h} 1:10))")
    step("resync-examine", "c", "EXAMINE Resync (QRESYNC ({v} {h}))")
    told = step("resync-up-to-date", "c", "SELECT Resync (CONDSTORE)")
    values["h2"] = number(r"HIGHESTMODSEQ (\d+)", told)
    step("resync-nothing-new", "c", "SELECT Resync (QRESYNC ({v} {h2}))")
    step("c-close", "c", "CLOSE")
    step("c-after-close", "c", "SELECT Resync (QRESYNC ({v} {h2}))")
    step("c-unselect", "c", "UNSELECT")
    for wrong in [
        "SELECT Resync (QRESYNC)",
        "SELECT Resync (QRESYNC ({v} 1 1:*))",
        "SELECT Resync (QRESYNC ({v} 1 1:2 (1:2 1)))",
        "SELECT Resync (QRESYNC (0 1))",
    ]:
        step(f"wrong: {wrong}", "c", wrong)
    sessions["c"].say("SELECT Resync")
    for wrong in [
        "FETCH 1 FLAGS (CHANGEDSINCE 0)",
        "FETCH 1 FLAGS (CHANGEDSINCE 9223372036854775808)",
        "FETCH 1 FLAGS (CHANGEDSINCE 1 VANISHED)",
        "UID FETCH 1 FLAGS (VANISHED)",
        "STORE 1 (UNCHANGEDSINCE x) +FLAGS (\\Seen)",
        "SEARCH MODSEQ",
        "SEARCH MODSEQ 9223372036854775808",
    ]:
        step(f"wrong: {wrong}", "c", wrong)
    step("savedate", "c", "SEARCH SAVEDATESUPPORTED")
    step("savedate-search", "c", "SEARCH SAVEDSINCE 1-Jan-2020")
    step("savedate-old", "c", "SEARCH SAVEDBEFORE 1-Jan-2020")
    step("d-select", "d", "SELECT Resync (CONDSTORE)")
    step("d-without-enable", "d", "UID FETCH 1 FLAGS (CHANGEDSINCE 1 VANISHED)")
    step("d-select-without-enable", "d", "SELECT Resync (QRESYNC ({v} {h}))")


def answers(path):
    steps = {}
    for line in open(path, encoding="utf-8"):
        name, _, answer = line.rstrip("\n").partition("\t")
        steps.setdefault(name, []).append(answer)
    return steps


def compare():
    ours, theirs = answers(sys.argv[2]), answers(sys.argv[3])
    assert ours.keys() == theirs.keys(), ours.keys() ^ theirs.keys()
    wrong, same, differs = [], 0, 0
    for name in ours:
        alike = ours[name] == theirs[name]
        if alike != (name not in DIFFERS):
            wrong.append(f"{name}:\n  ours   {ours[name]}\n  theirs {theirs[name]}")
        same, differs = same + alike, differs + (not alike)
    if wrong:
        sys.exit("FAILED: other answers than Dovecot's, or no longer other ones:\n" + "\n".join(wrong))
    print(f"ok: {same} steps are answered as by Dovecot, {differs} otherwise for a reason")


compare() if sys.argv[1] == "compare" else play()
