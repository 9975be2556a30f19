import pathlib
import re
import smtplib
import ssl
import subprocess
import sys
import time

import authres
import dkim

import auth

SITE = auth.WORK / "site"
CLIENT = "mail.sig.example"


def zone():
    their = {"rsa": auth.openssl_key("rsa", "rsa", "-pkeyopt", "rsa_keygen_bits:2048")}
    auth.write_zone(
        "sig.example",
        "@ TXT \"v=spf1 ip4:127.0.0.1 -all\"\n_dmarc TXT \"v=DMARC1; p=reject\"\nmail A 127.0.0.1\n"
        + "".join(auth.record_lines(f"{selector}._domainkey", text) for selector, text in their.items()))
    auth.write_zone("bank.example", "@ TXT \"v=spf1 -all\"\n_dmarc TXT \"v=DMARC1; p=reject\"\n")
    auth.write_zone("shop.example", "@ TXT \"v=spf1 -all\"\n_dmarc TXT \"v=DMARC1; p=quarantine\"\n")
    # What a walk up to the organizational domain ends with.
    auth.write_zone("example", "")
    # A key as opendkim's users have it, and the record as they publish it.
    subprocess.run(
        ["opendkim-genkey", "-b", "2048", "-d", "us.example", "-s", "genkey", "-D", auth.WORK], check=True)
    ed = auth.check_auth(
        "keygen", "ed25519", "--out", auth.WORK / "our-ed.pem", "--domain", "us.example", "--selector", "our-ed")
    auth.write_zone("us.example", (auth.WORK / "genkey.txt").read_text() + ed.decode())
    auth.write_zone("127.in-addr.arpa", "1.0.0 PTR mail.sig.example.\n")
    (auth.WORK / "unbound.conf").write_text("server:\n    module-config: iterator\n")
    (auth.WORK / "verify.conf").write_text(
        f"Mode v\nNameservers 192.0.2.53\nResolverConfiguration {auth.WORK}/unbound.conf\nAlwaysAddARHeader yes\n"
        "AuthservID opendkim\nInternalHosts 192.0.2.99\n")


def send(message, recipient, sender=f"joe@{auth.DOMAIN}"):
    """Brings a message as a stranger; the reply to its end."""
    with smtplib.SMTP("127.0.0.1", 2025, local_hostname=CLIENT, timeout=60) as client:
        client.ehlo()
        client.mail(sender)
        client.rcpt(recipient)
        code, text = client.data(message)
        return f"{code} {text.decode()}"


def submit(message, recipient):
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with smtplib.SMTP_SSL("127.0.0.1", 2465, local_hostname="laptop", timeout=60, context=context) as client:
        client.login("joe@us.example", "correct-horse")
        client.sendmail("joe@us.example", [recipient], message)


def mailbox(name):
    return list((SITE / "mail" / "joe" / name / "new").glob("*"))


def arrived():
    """The next message at the other server, as it was sent."""
    for _ in range(1200):
        # It writes a file while the message comes, and the end of it is an empty line of its own.
        files = [file for file in (SITE / "arrived").iterdir() if file.stat().st_size > 0]
        if files and files[0].read_bytes().endswith(b"\n\n"):
            text = files[0].read_bytes()
            files[0].unlink()
            # Its own fields are on top, and behind it one line.
            lines = text[:-1].split(b"\n")
            begin = next(n for n, line in enumerate(lines) if line.startswith((b"ARC-Seal:", b"DKIM-Signature:")))
            return b"\r\n".join(lines[begin:])
        time.sleep(0.1)
    sys.exit("FAILED: nothing arrived")


def results(text):
    """What authres reads of the field on top: methods and their results."""
    header = text.split(b"\n\n")[0].decode()
    field = re.search(r"^Authentication-Results: (?:.|\n[ \t])*", header, re.M)[0]
    read = authres.AuthenticationResultsHeader.parse(field.replace("\n", ""))
    found = {}
    for result in read.results:
        found.setdefault(result.method, result.result)
    return read.authserv_id, found


def checked():
    table = auth.Table("Authentication-Results, authres and dkimpy")
    key = (auth.WORK / "rsa.pem").read_bytes()
    forged = b"Authentication-Results: mx.us.example; dmarc=pass header.from=bank.example\r\n"
    for name, message in auth.MESSAGES.items():
        # Repeated Received fields are for other comparisons.
        field = dkim.sign(message, b"rsa", auth.DOMAIN.encode(), key, canonicalize=(b"relaxed", b"relaxed"))
        for what, wire, dkim_result in [("", field + message, "pass"), (", spoiled", auth.spoiled(field + message), "fail")]:
            before = set(mailbox("."))
            reply = send(forged + wire, "joe@us.example")
            table.row(f"{name}{what}: taken", "250", reply[:3])
            (file,) = set(mailbox(".")) - before
            text = file.read_bytes()
            host, found = results(text)
            table.row(f"{name}{what}: host", "mx.us.example", host)
            expected = {"iprev": "pass", "spf": "pass", "dkim": dkim_result, "arc": "none", "dmarc": "pass"}
            for method, result in expected.items():
                table.row(f"{name}{what}: {method}", result, found.get(method))
            table.row(f"{name}{what}: forged", 0, text.count(b"bank.example"))
    bank = auth.MESSAGES["plain"].replace(b"sig.example>", b"bank.example>", 1)
    reply = send(bank, "joe@us.example", "joe@bank.example")
    table.row("refused", "550 5.7.1 refused by the DMARC policy of bank.example", reply)
    shop = bank.replace(b"bank.example", b"shop.example")
    table.row("kept apart", "250", send(shop, "joe@us.example")[:3])
    table.row("in the mailbox for junk", 1, len(mailbox(".Junk")))
    table.finish()


def opendkim(message):
    file = auth.WORK / "message"
    file.write_bytes(message)
    command = ["opendkim", "-vvv", "-t", file, "-x", auth.WORK / "verify.conf"]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    return re.findall(rb"dkim=(\w+)", done.stdout)[:1]


def signed():
    table = auth.Table("what users send, opendkim and dkimpy")
    for name, message in auth.MESSAGES.items():
        ours = message.replace(b"joe@sig.example", b"joe@us.example")
        submit(ours, "ann@far.example")
        text = arrived()
        for index, what in [(0, "RSA"), (1, "Ed25519")]:
            table.row(f"{name}: {what}, dkimpy", True, dkim.DKIM(text).verify(idx=index))
        table.row(f"{name}: opendkim", [b"pass"], opendkim(text))
        table.row(f"{name}: opendkim, spoiled", [b"fail"], opendkim(auth.spoiled(text)))
    table.finish()


def sealed():
    known = [(
        "second on a broken one: our seal",
        "dkimpy verifies the seal of a broken chain over all sets, though it makes it over the last alone, as RFC 8617 §5.1.2 has it")]
    table = auth.Table("what is sent on, dkimpy", known)
    key = (auth.WORK / "rsa.pem").read_bytes()
    for name, message in auth.MESSAGES.items():
        top = b"Authentication-Results: sig.example; arc=none; dmarc=pass header.from=sig.example\r\n"
        first = b"".join(dkim.arc_sign(top + message, b"rsa", b"sig.example", key, b"sig.example"))
        chains = [("alone", message, 1, b"pass"), ("second", first + message, 2, b"pass")]
        # Our seal says that the chain ends here; dkimpy has no word for that.
        chains.append(("second on a broken one", auth.spoiled(first + message), 2, None))
        for what, wire, count, cv in chains:
            reply = send(wire, "info@us.example")
            table.row(f"{name}, {what}: taken", "250", reply[:3])
            text = arrived()
            result, sets, _ = dkim.arc_verify(text)
            table.row(f"{name}, {what}: sets", count, len(re.findall(rb"^ARC-Seal:", text, re.M)))
            table.row(f"{name}, {what}: chain", cv, result)
            table.row(f"{name}, {what}: our seal", True, sets[0]["as-valid"])
            changed, _, _ = dkim.arc_verify(auth.spoiled(text))
            table.row(f"{name}, {what}, spoiled", b"fail", changed)
    table.finish()


def compare():
    checked()
    signed()
    sealed()


{"zone": zone, "compare": compare}[sys.argv[1]]()
