"""Reads what strace saw of the server and holds it to one rule: whenever octets go out to a client, nothing that a mailbox
shows is still waiting for a sync. A copy of the trace without its syncs has to fail, or the check is
worth nothing.

Usage: 72-sync-order.py TRACE MAIL PORT:CALLS... - for each connection, in order, the port it came in at and what has to be
seen while it lasted, parted by commas, each NAME>=NUMBER.
"""
import os
import re
import sys

CALL = re.compile(r"^(\d+) +(?:(\w+)\((.*?)(?:\) += (-?\d+)\S*.*| <unfinished \.\.\.>)|<\.\.\. (\w+) resumed>(.*)\) += (-?\d+).*)$")
SOCKET = re.compile(r"^\d+<(?:TCP|TCPv6):\[[^>]*:(\d+)->([^\]]*)\]>")
FILE = re.compile(r"^\d+<([^>]*)>")
PATHS = re.compile(r'"((?:[^"\\]|\\.)*)"')


def calls(lines):
    """(begins, ends, name, arguments) of each call that succeeded; a call may have others between its two ends."""
    open_calls = {}
    for number, line in enumerate(lines):
        found = CALL.match(line.rstrip("\n"))
        if not found:
            continue
        thread, name, arguments, result, resumed, rest, late = found.groups()
        if name and result is None:
            open_calls[thread] = (number, name, arguments)
            continue
        begins = number
        if resumed:
            if thread not in open_calls:
                continue
            begins, name, arguments = open_calls.pop(thread)
            arguments, result = arguments + rest, late
        if int(result) >= 0:
            yield begins, number, name, arguments


class Trace:
    def __init__(self, mail):
        self.mail = mail
        self.unsynced_files = set()
        # (folder, name): a name that was given or taken away in a folder.
        self.unsynced_names = set()
        self.connections = []
        self.seen = {}
        self.faults = []

    def ours(self, path):
        return path == self.mail or path.startswith(self.mail + "/")

    @staticmethod
    def private(path):
        """Nobody is shown what is in tmp/ or in a deleted mailbox, nor a lock or a file on its way to its name."""
        folder, name = os.path.split(path)
        return "/..pillarbox-deleted." in folder or os.path.basename(folder) == "tmp" or name.endswith((".lock", ".tmp")) or "dovecot-uidvalidity-" in name

    def name(self, path):
        if not self.private(path):
            self.unsynced_names.add(os.path.split(path))

    def count(self, what):
        if self.connections:
            self.connections[-1][1][what] = self.connections[-1][1].get(what, 0) + 1

    def begin(self, name, arguments):
        """What a sync covers is settled when it begins; what a client may count on, when its octets go."""
        if name in ("fsync", "fdatasync"):
            path = FILE.match(arguments)
            path = path and os.path.normpath(path[1])
            return [("file", path)] + [("name", pair) for pair in self.unsynced_names if pair[0] == path]
        if name in ("write", "writev", "sendto", "sendmsg"):
            socket = SOCKET.match(arguments)
            if socket:
                if not self.connections or self.connections[-1][2] != socket[2]:
                    self.connections.append((socket[1], {}, socket[2]))
                if name == "sendto" and '"250 2.0.0 ' in arguments:
                    self.count("accepted")
                shown = sorted(path for path in self.unsynced_files if not self.private(path))
                names = sorted("/".join(pair) for pair in self.unsynced_names)
                if shown or names:
                    self.faults.append(f"octets went to a client before a sync of {', '.join(shown + names)}: {arguments[:150]}")
        return []

    def end(self, name, arguments, covered):
        if name in ("fsync", "fdatasync"):
            for kind, what in covered:
                (self.unsynced_files if kind == "file" else self.unsynced_names).discard(what)
            path = covered[0][1]
            if path and self.ours(path):
                self.count("fsync")
            return
        if name in ("write", "writev", "pwrite64"):
            path = FILE.match(arguments)
            # The journal may wait: what is missing there after a power cut is found out, and told again. Written whole, under a
            # name of its own, it may not.
            # Nor is a file synced that has no name yet: only locks begin so, and what they tell is of no use after a power cut.
            base = path and os.path.basename(path[1])
            if path and self.ours(path[1]) and base != "pillarbox-journal" and not base.startswith("#"):
                self.unsynced_files.add(path[1])
            return
        paths = [os.path.normpath(path) for path in PATHS.findall(arguments)]
        if not paths or not self.ours(paths[-1]):
            return
        path = paths[-1]
        if name in ("mkdir", "mkdirat"):
            self.name(path)
            self.count("mkdir")
        elif name == "openat" and "O_CREAT" in arguments:
            self.name(path)
        elif name in ("unlink", "unlinkat"):
            self.unsynced_files.discard(path)
            if not self.private(path):
                self.count("unlink")
            self.name(path)
        elif name in ("link", "linkat"):
            if paths[0] in self.unsynced_files:
                self.unsynced_files.add(path)
            self.name(path)
        elif name.startswith("rename"):
            self.rename(*paths)

    def rename(self, old, new):
        kinds = tuple(os.path.basename(os.path.dirname(path)) for path in (old, new))
        if old in self.unsynced_files:
            self.unsynced_files.discard(old)
            self.unsynced_files.add(new)
        if kinds[0] == "tmp":
            self.count("published")
            # All copies of a message are whole before one is visible.
            if any("/tmp/" in path for path in self.unsynced_files):
                self.faults.append(f"{new} was made visible while another copy waited for its sync")
        waiting = os.path.split(old) in self.unsynced_names
        # A message that a reader takes out of new/ is found in one of the two after a crash, if it was durable before.
        if kinds == ("new", "cur") and not waiting:
            self.count("taken")
            return
        if kinds == ("cur", "cur"):
            self.count("flagged")
        self.unsynced_names.discard(os.path.split(old))
        self.name(new)


def check(lines, mail):
    trace = Trace(mail)
    events = []
    for begins, ends, name, arguments in calls(lines):
        call = {"name": name, "arguments": arguments}
        events += [(begins, 0, call), (ends, 1, call)]
    for _, phase, call in sorted(events, key=lambda event: event[:2]):
        if phase == 0:
            call["covered"] = trace.begin(call["name"], call["arguments"])
        else:
            trace.end(call["name"], call["arguments"], call["covered"])
    return trace


def main():
    lines = open(sys.argv[1], encoding="latin-1").readlines()
    mail = os.path.realpath(sys.argv[2])
    trace = check(lines, mail)
    for fault in trace.faults:
        print(f"FAILED: {fault}", file=sys.stderr)
    seen = [(port, counts) for port, counts, _ in trace.connections]
    wanted = [connection.split(":") for connection in sys.argv[3:]]
    if [port for port, _ in seen] != [port for port, _ in wanted]:
        sys.exit(f"FAILED: connections at {[port for port, _ in seen]}, not {[port for port, _ in wanted]}")
    for (port, counts), (_, needs) in zip(seen, wanted):
        for need in filter(None, needs.split(",")):
            what, least = need.split(">=")
            if counts.get(what, 0) < int(least):
                sys.exit(f"FAILED: {what} is {counts.get(what, 0)}, not {least}, at port {port}: {counts}")
    if trace.faults:
        sys.exit(1)
    # The check itself: without its syncs the same trace has to fail.
    is_sync = re.compile(r"(fsync|fdatasync)\(|<\.\.\. (fsync|fdatasync) resumed")
    kinds = {
        "files": lambda line: is_sync.search(line) and "/tmp/" in line,
        "folders of new messages": lambda line: is_sync.search(line) and re.search(r"/new>", line),
        "folders of changed messages": lambda line: is_sync.search(line) and re.search(r"/cur>", line),
        "UID lists": lambda line: is_sync.search(line) and "dovecot-uidlist" in line,
        "new folders": lambda line: is_sync.search(line) and re.search(r"/(Maildir|\w+)>", line) and not re.search("/(new|cur)>", line),
    }
    for kind, drop in kinds.items():
        if not check([line for line in lines if not drop(line)], mail).faults:
            sys.exit(f"FAILED: nothing is found wrong without the syncs of {kind}")
    print(f"ok: {len(seen)} conversations, {sum(counts.get('fsync', 0) for _, counts in seen)} syncs, each before the words it allows")


main()
