#!/usr/bin/env python3
"""alpine in a pseudo terminal, and imaplib to see what it did. Run by 52-alpine.sh."""
import fcntl
import imaplib
import os
import pty
import re
import select
import signal
import ssl
import struct
import sys
import termios
import time

imap, imaps, user, password = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4]
trust = ssl.create_default_context()
trust.check_hostname = False
trust.verify_mode = ssl.CERT_NONE


class Alpine:
    """One run, with no question but those that are answered here."""

    def __init__(self, server):
        rc = os.path.join(os.environ["HOME"], "pinerc")
        features = [
            "disable-password-caching", "disable-password-file-saving", "quit-without-confirm", "expunge-without-confirm",
            "expunge-without-confirm-everywhere", "save-will-not-delete", "enable-flag-cmd", "enable-aggregate-command-set",
            "no-auto-zoom-after-select",
        ]
        with open(rc, "w") as file:
            file.write(
                f"inbox-path={{{server}}}INBOX\nfolder-collections=Mail {{{server}}}[]\n"
                "personal-name=You\nuser-domain=you.example\ndefault-fcc=\"\"\npostponed-folder=\"\"\nlast-version-used=9.99\n"
                f"feature-list={','.join(features)}\n"
            )
        self.pid, self.terminal = pty.fork()
        if self.pid == 0:
            fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
            os.execvp("alpine", ["alpine", "-p", rc, "-i"])
        self.seen = b""
        self.says("ENTER PASSWORD", "")
        self.does(r"opened with \d+ message", password + "\r")

    def says(self, wanted, keys, seconds=30):
        """Presses keys and waits for words on the screen; nothing that stood there before counts."""
        os.write(self.terminal, keys.encode())
        end = time.monotonic() + seconds
        while True:
            # Colours, moves of the cursor and padding stand between words.
            text = re.sub(rb"\x1b\[[0-9;?]*[A-Za-z]|\x1b[()=>].?|\0", b"", self.seen).decode("latin-1")
            if re.search(wanted, text, re.IGNORECASE | re.DOTALL):
                self.rests()
                return
            left = end - time.monotonic()
            if left <= 0 or not select.select([self.terminal], [], [], left)[0]:
                self.gives_up(wanted, keys, text)
            try:
                self.seen += os.read(self.terminal, 65536)
            except OSError:
                self.gives_up(wanted, keys, text)

    def rests(self):
        """Waits until nothing more is drawn: alpine throws away keys that come while it still draws a question."""
        while select.select([self.terminal], [], [], 0.5)[0]:
            try:
                if not os.read(self.terminal, 65536):
                    break
            except OSError:
                break
        self.seen = b""

    def does(self, wanted, keys):
        """The same with keys that ask the server. What takes a while ends with DONE, and the words come with the next key."""
        self.says(rf"{wanted}| DONE\]", keys)

    def gives_up(self, wanted, keys, text):
        os.kill(self.pid, signal.SIGKILL)
        raise SystemExit(f"alpine did not say {wanted!r} after the keys {keys!r}, but {text[-1500:]!r}")

    def quits(self):
        self.says("finished", "q")
        _, status = os.waitpid(self.pid, 0)
        assert os.waitstatus_to_exitcode(status) == 0, status


def holds(mailbox, *wanted):
    """The subjects and flags of a mailbox."""
    c = imaplib.IMAP4_SSL("127.0.0.1", imaps, ssl_context=trust)
    c.login(user, password)
    assert c.select(mailbox, readonly=True)[0] == "OK", mailbox
    _, rows = c.fetch("1:*", "(FLAGS BODY.PEEK[HEADER.FIELDS (SUBJECT)])")
    c.logout()
    found = [
        (row[1].decode().split("number ")[1].strip(), {flag.decode() for flag in imaplib.ParseFlags(row[0])} - {"\\Recent"})
        for row in rows
        if isinstance(row, tuple)
    ]
    assert found == list(wanted), f"{mailbox}: {found}"


a = Alpine(f"127.0.0.1:{imaps}/ssl/novalidate-cert/user={user}")
a.says("body 1", "J1\r\r")
a.says("body 2", "n")
a.says("MESSAGE INDEX", "<")
a.says("Flag New, Deleted", "*")
a.does('Flagged message 2 "Important"', "\r")
a.says("SAVE Msg #4 to folder", "J4\rs")
a.says(r"Create.*\bN\b.*\bNo\b", "Kept\r")
a.does("Message 4 copied", "y")
a.says("SELECT criteria", ";")
a.does("matched 1 message", "tsnumber 1\r")
a.says("APPLY command", "a")
a.says("to folder", "s")
a.does("Message 1 copied", "Kept\r")
a.does("marked for deletion", "J3\rd")
a.does("message expunged", "x")
a.says(r"Kept *\[/\]", "l")
a.says("ENTER PASSWORD", "gKept\r")
a.says(r"Kept +Message \d of 2", password + "\r")
a.quits()
print("ok: alpine over TLS reads, flags, makes a folder and saves into it, selects, deletes, expunges, and opens the folder")

holds("INBOX", ("1", {"\\Seen"}), ("2", {"\\Seen", "\\Flagged"}), ("4", set()))
holds("Kept", ("4", set()), ("1", {"\\Seen"}))
print("ok: the server holds what alpine did")

a = Alpine(f"127.0.0.1:{imap}/tls/novalidate-cert/user={user}")
a.does("marked for deletion", "J1\rd")
a.says("Flag New, Deleted", "J2\r*")
a.does("unflagged", "!\r")
a.quits()
holds("INBOX", ("2", {"\\Seen"}), ("4", set()))
print("ok: alpine with STARTTLS takes a flag away, deletes, and expunges when it quits")
