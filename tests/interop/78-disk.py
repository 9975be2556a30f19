#!/usr/bin/env python3
"""Fills the disk under the server, makes it read-only, and empties it again. Run by 78-disk.sh."""
import imaplib
import os
import socket
import ssl
import subprocess
import sys

root, user, password = os.environ["MAIL_ROOT"], "you@localhost", os.environ["PASSWORD"]
maildir = f"{root}/you/Maildir"


class Talk:
    """SMTP or LMTP, one reply at a time."""

    def __init__(self, address):
        family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
        self.socket = socket.socket(family)
        self.socket.settimeout(60)
        self.socket.connect(address)
        self.lines = self.socket.makefile("rb")
        self.reply()
        self.say("LHLO client.example" if isinstance(address, str) else "EHLO client.example", "250")

    def reply(self):
        while True:
            line = self.lines.readline().decode()
            if line[3:4] != "-":
                return line.rstrip()

    def say(self, line, *wanted):
        self.socket.sendall(line.encode() + b"\r\n")
        reply = self.reply()
        if not reply.startswith(wanted):
            sys.exit(f"{line[:60]!r}: {reply} instead of {wanted}")
        return reply

    def send(self, size):
        """The last reply to a message."""
        reply = self.say("MAIL FROM:<a@elsewhere.example>", "250", "4")
        if not reply.startswith("250"):
            return reply
        self.say(f"RCPT TO:<{user}>", "250")
        self.socket.sendall(b"DATA\r\n")
        first = self.reply()
        if not first.startswith("354"):
            return first
        self.socket.sendall(b"Subject: x\r\n\r\n" + (b"x" * 70 + b"\r\n") * (size // 72) + b".\r\n")
        return self.reply()


def ok(what):
    print(f"ok: {what}")


def expect(what, reply, *wanted):
    if not reply.startswith(wanted):
        sys.exit(f"{what}: {reply} instead of {wanted}")
    ok(f"{what}: {reply}")


def messages():
    return sum(len(os.listdir(f"{maildir}/{name}")) for name in ("new", "cur"))


def leftovers():
    return os.listdir(f"{maildir}/tmp")


def imap():
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    box = imaplib.IMAP4_SSL("127.0.0.1", int(os.environ["IMAPS"]), ssl_context=context)
    box.login(user, password)
    return box


def remount(how):
    subprocess.run(["mount", "-o", f"remount,{how},size=2m,nr_inodes=300,uid=65534,gid=65534", root], check=True)


smtp = Talk(("127.0.0.1", int(os.environ["SMTP"])))
mark = os.environ.get("MARK")
if mark == "space":
    expect("a message with room for it", smtp.send(1000), "250")
    expect("one that announces more than there is", smtp.say("MAIL FROM:<a@elsewhere.example> SIZE=600000", "4"), "452 4.3.1")
    expect("one that announces little", smtp.say("MAIL FROM:<a@elsewhere.example> SIZE=1000", "2"), "250")
    smtp.say("RSET", "250")
    with open(f"{root}/filler", "wb") as f:
        f.write(b"x" * 700000)
    expect("any message below the mark", smtp.say("MAIL FROM:<a@elsewhere.example>", "4"), "452 4.3.1")
    os.remove(f"{root}/filler")
    expect("when there is room again", smtp.send(1000), "250")
    sys.exit()
if mark == "files":
    expect("a message with room for it", smtp.send(1000), "250")
    for n in range(100):
        open(f"{root}/filler{n}", "w").close()
    expect("any message below the mark", smtp.say("MAIL FROM:<a@elsewhere.example>", "4"), "452 4.3.1")
    for n in range(100):
        os.remove(f"{root}/filler{n}")
    expect("when files can be made again", smtp.send(1000), "250")
    sys.exit()

lmtp = Talk(os.environ["LMTP"])
expect("a message with room for it", smtp.send(1000), "250")
box = imap()
box.select("INBOX")

# Full, by SMTP, LMTP and IMAP.
sent = 1
while True:
    reply = smtp.send(300000)
    if not reply.startswith("250"):
        break
    sent += 1
expect("a message that does not fit", reply, "452 4.3.1")
expect("the same by LMTP", lmtp.send(300000), "452 4.3.1")
with open(f"{root}/filler", "wb", buffering=0) as f:
    try:
        while True:
            f.write(b"x" * 4096)
    except OSError:
        pass
expect("nothing fits at all", smtp.send(100), "452 4.3.1")
answer = box.append("INBOX", "", None, b"Subject: y\r\n\r\n" + b"y" * 5000)
expect("APPEND", f"{answer[0]} {answer[1][0].decode()}", "NO [UNAVAILABLE]")
if leftovers() or messages() != sent:
    sys.exit(f"left in tmp: {leftovers()}; {messages()} messages instead of {sent}")
box.noop()
if box.fetch("1", "(BODY.PEEK[])")[0] != "OK":
    sys.exit("what is there cannot be read")
ok("nothing is left behind, and what is there is read")
if box.store("1", "+FLAGS", "\\Deleted")[0] != "OK" or box.expunge()[0] != "OK":
    sys.exit("messages cannot be removed from a full disk")
ok("messages can be removed from a full disk")
sent -= 1
os.remove(f"{root}/filler")
expect("with room again, in the same session", smtp.send(100), "250")
sent += 1

# Read-only, while sessions are open.
box.noop()
remount("ro")
expect("a message to a read-only disk", smtp.send(100), "451 4.3.0")
expect("the same by LMTP", lmtp.send(100), "451 4.3.0")
answer = box.append("INBOX", "", None, b"Subject: y\r\n\r\ny")
expect("APPEND", f"{answer[0]} {answer[1][0].decode()}", "NO [UNAVAILABLE]")
answer = box.store("1", "+FLAGS", "\\Seen")
expect("STORE", f"{answer[0]} {answer[1][0].decode()}", "NO [UNAVAILABLE]")
second = imap()
if second.select("INBOX")[0] != "OK" or second.fetch("1", "(FLAGS BODY.PEEK[])")[0] != "OK" or box.fetch("1", "(BODY.PEEK[])")[0] != "OK":
    sys.exit("a read-only disk is not read")
ok("what is there is read, in the old session and in a new one")
remount("rw")
expect("writable again, in the same session", smtp.send(100), "250")
expect("the same by LMTP", lmtp.send(100), "250")
sent += 2
if box.store("1", "+FLAGS", "\\Seen")[0] != "OK" or box.append("INBOX", "", None, b"Subject: y\r\n\r\ny")[0] != "OK":
    sys.exit("IMAP did not recover")
sent += 1
box.noop()
if leftovers() or messages() != sent:
    sys.exit(f"left in tmp: {leftovers()}; {messages()} messages instead of {sent}")
ok(f"{sent} messages, and nothing is left behind")
