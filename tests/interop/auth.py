"""Shared by the scripts that compare mail authentication with other programs: messages, keys, zones, and our program."""

import base64
import json
import os
import pathlib
import re
import subprocess
import sys

WORK = pathlib.Path(os.environ["WORK"])
CHECK_AUTH = os.environ["CHECK_AUTH"]
DOMAIN = "sig.example"
CANONICALIZATIONS = ["simple/simple", "simple/relaxed", "relaxed/simple", "relaxed/relaxed"]


def message(*body, subject="a message", more=()):
    """A message of lines, in octets or characters."""
    lines = [
        f"From: Joe <joe@{DOMAIN}>", "To: you@peer.example", f"Subject: {subject}", "Date: Thu, 26 Nov 2026 12:00:00 +0000",
        f"Message-ID: <1@{DOMAIN}>", *more, "", *body]
    return b"".join((line if isinstance(line, bytes) else line.encode()) + b"\r\n" for line in lines)


# What one program or another gets wrong: each is signed and verified in every way.
MESSAGES = {
    "plain": message("Hi.", "", "We lost the game. Are you hungry yet?", "", "Joe."),
    "eight-bit": message("Grüße, 世界", b"\xa0\xe4\xff not UTF-8", more=["MIME-Version: 1.0", "Content-Transfer-Encoding: 8bit"]),
    "empty-body": message(),
    "only-empty-lines": message("", "", ""),
    "empty-lines-at-end": message("text", "", "", ""),
    "blanks": message("two  blanks \t and", "at the end  \t", " \t ", "\ttab", "  ", ""),
    "dots": message(".", "..", "...x", ".\t", "x."),
    "folded": message(
        "text", subject="a subject\r\n  of \t three\r\n\tlines  ",
        more=["References: " + "\r\n ".join(f"<{n:040}@{DOMAIN}>" for n in range(60))]),
    "odd-header": message(
        "text", subject=" \t  blanks around  ",
        more=["MIME-Version:1.0", "mIME-vERSION: 1.0", "X-Empty:", "X-Blank:  ", "Reply-To: a@b.example ; c=d:e"]),
    "repeated": message("text", more=["Received: one", "Received: two", "Comments: one", "Comments: two", "Comments: three"]),
    "not-ascii": message("text", subject="Grüße, 世界", more=["X-Note: naïve"]),
    "long-line": message("x" * 990, "é" * 450),
    "multipart": message(
        "--b", "Content-Type: text/plain", "", "one ", "--b", "Content-Type: text/html", "", "<p>two</p>", "--b--", "",
        more=["MIME-Version: 1.0", 'Content-Type: multipart/mixed;\r\n\tboundary="b"']),
    "long-body": message(*(f"line {n} " + "z" * (n % 70) for n in range(5000))),
}


def check_auth(*arguments, message=None, environment=None):
    """What our program prints."""
    done = subprocess.run(
        [CHECK_AUTH, *map(str, arguments)], input=message, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment)
    if done.returncode != 0:
        raise RuntimeError(f"check-auth {arguments}: status {done.returncode}: {done.stderr.decode()}")
    return done.stdout


def verdicts(message, *arguments, ip="198.51.100.1", helo="mail.peer.example", sender=f"joe@{DOMAIN}"):
    """What our program finds, as JSON."""
    out = check_auth("--ip", ip, "--helo", helo, "--mail-from", sender, "--json", *arguments, "-", message=message)
    return json.loads(out)


def signing(selector, form, domain=DOMAIN):
    header, body = form.split("/")
    return [
        "--domain", domain, "--selector", selector, "--key", WORK / f"{selector}.pem", "--header-form", header, "--body-form", body]


def sign(message, selector, form="relaxed/relaxed", domain=DOMAIN):
    """A message with a signature of ours on top."""
    return check_auth("sign", *signing(selector, form, domain), "-", message=message)


def seal(message, selector, form="relaxed/relaxed", domain=DOMAIN, *arguments):
    """A message with an ARC set of ours on top."""
    return check_auth("seal", *signing(selector, form, domain), *arguments, "-", message=message)


def spoiled(message):
    """The same message with another body."""
    head, _, body = message.partition(b"\r\n\r\n")
    return head + b"\r\n\r\nInserted.\r\n" + body


def readdressed(message):
    """The same message from somebody else."""
    return message.replace(b"\r\nFrom: Joe", b"\r\nFrom: Eve", 1)


def record_lines(name, text):
    """A TXT record in presentation format, in strings that are short enough."""
    strings = " ".join(f'"{text[at:at + 250]}"' for at in range(0, len(text), 250))
    return f"{name} TXT {strings}\n"


def openssl_key(selector, *algorithm):
    """Makes a key with OpenSSL; the record of its public half."""
    file = WORK / f"{selector}.pem"
    subprocess.run(["openssl", "genpkey", "-algorithm", *algorithm, "-out", file], check=True, stderr=subprocess.DEVNULL)
    file.chmod(0o600)
    der = subprocess.run(["openssl", "pkey", "-in", file, "-pubout", "-outform", "DER"], check=True, stdout=subprocess.PIPE).stdout
    if algorithm[0] == "ed25519":
        # RFC 8463 §4: the 32 octets alone.
        return f"v=DKIM1; k=ed25519; p={base64.b64encode(der[-32:]).decode()}"
    return f"v=DKIM1; k=rsa; p={base64.b64encode(der).decode()}"


def seed(selector):
    """The 32 octets of an ed25519 key, as some programs want them."""
    der = subprocess.run(
        ["openssl", "pkey", "-in", WORK / f"{selector}.pem", "-outform", "DER"], check=True, stdout=subprocess.PIPE).stdout
    return base64.b64encode(der[-32:])


SOA = "@ 3600 SOA ns.example. postmaster.example. 1 3600 600 86400 60\n@ NS ns.example.\n"


def write_zone(origin, text):
    """A zone for the name server, and for our program's `--zone` at the end of one file for all of them."""
    zone = f"$ORIGIN {origin}.\n$TTL 60\n{SOA}{text}\n"
    folder = WORK / "zones"
    folder.mkdir(exist_ok=True)
    (folder / origin).write_text(zone)
    with open(WORK / "zone.txt", "a") as every:
        every.write(zone)


class Table:
    """What was compared. What is known to differ is named by patterns, each with its reason: all that one matches differs, or
    it is a failure, as is any other difference."""

    def __init__(self, title, known=()):
        self.title, self.equal, self.failed = title, 0, []
        self.known = [(re.compile(pattern), reason) for pattern, reason in known]
        self.differ = {reason: 0 for _, reason in known}

    def row(self, name, expected, found):
        reason = next((reason for pattern, reason in self.known if pattern.search(name)), None)
        if (expected == found) != (reason is None):
            self.failed.append(f"{name}: {found}, not {expected}" if reason is None else f"{name}: {found}, although {reason}")
        elif reason is None:
            self.equal += 1
        else:
            self.differ[reason] += 1

    def finish(self):
        self.failed += [f"nothing differs because {reason}" for reason, count in self.differ.items() if count == 0]
        if self.failed or self.equal == 0:
            sys.exit("\n".join([f"FAILED: {self.title}: {self.equal} agree, {len(self.failed)} do not", *self.failed]))
        print(f"ok: {self.title}: {self.equal} agree, {sum(self.differ.values())} differ")
        for reason, count in self.differ.items():
            print(f"    {count}: {reason}")
