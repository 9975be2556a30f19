import re
import subprocess
import sys

import auth

ALGORITHMS = {"rsa": "rsa-sha256", "ed": "ed25519-sha256"}


def zone():
    records = {
        "rsa": auth.openssl_key("rsa", "rsa", "-pkeyopt", "rsa_keygen_bits:2048"),
        "ed": auth.openssl_key("ed", "ed25519"),
    }
    auth.write_zone("sig.example", "".join(auth.record_lines(f"{s}._domainkey", text) for s, text in records.items()))
    # opendkim takes everything for its own that is not said otherwise.
    (auth.WORK / "unbound.conf").write_text("server:\n    module-config: iterator\n")
    (auth.WORK / "verify.conf").write_text(
        f"Mode v\nNameservers 192.0.2.53\nResolverConfiguration {auth.WORK}/unbound.conf\nAlwaysAddARHeader yes\nAuthservID opendkim\nInternalHosts 192.0.2.99\n")
    (auth.WORK / "sign.conf").write_text("Mode s\nOversignHeaders From,Subject\nInternalHosts 0.0.0.0/0\n")


def opendkim(messages, *arguments):
    """The header field that opendkim adds on top of each message; it reads them as a mail server would bring them."""
    files = []
    for number, message in enumerate(messages):
        files.append(auth.WORK / f"message{number}")
        files[-1].write_bytes(message)
    command = ["opendkim", "-vvv", "-t", ",".join(map(str, files)), *map(str, arguments)]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    fields = re.findall(rb"### INSHEADER: idx=\d+ hname='(.*?)' hvalue='(.*?)'\n", done.stdout, re.S)
    if done.returncode != 0 or len(fields) != len(messages):
        raise RuntimeError(f"{' '.join(command)}: {len(fields)} fields: {done.stdout} {done.stderr}")
    return [name + b": " + value.replace(b"\n", b"\r\n") + b"\r\n" for name, value in fields]


def they_sign(messages, selector, form):
    fields = opendkim(
        messages, "-x", auth.WORK / "sign.conf", "-d", auth.DOMAIN, "-s", selector, "-k", auth.WORK / f"{selector}.pem",
        "-S", ALGORITHMS[selector], "-c", form)
    return [field + message for field, message in zip(fields, messages)]


def they_verify(messages):
    fields = opendkim(messages, "-x", auth.WORK / "verify.conf")
    return [re.search(rb"dkim=(\w+)", field)[1].decode() for field in fields]


def we_verify(message):
    (signature,) = auth.verdicts(message, "--zone", auth.WORK / "zone.txt")["dkim"]
    return signature["result"]


def compare():
    signed = []
    for form in auth.CANONICALIZATIONS:
        for selector, algorithm in ALGORITHMS.items():
            theirs = they_sign(auth.MESSAGES.values(), selector, form)
            for (name, message), their in zip(auth.MESSAGES.items(), theirs):
                signed.append((f"{name}, {form}, {algorithm}, by opendkim", their))
                signed.append((f"{name}, {form}, {algorithm}, by us", auth.sign(message, selector, form)))
    spoiled = [(f"{name}, spoiled", auth.spoiled(message)) for name, message in signed]
    readdressed = [(f"{name}, readdressed", auth.readdressed(message)) for name, message in signed]
    table = auth.Table("DKIM, opendkim", [
        ("simple/.*, ed25519-sha256, by opendkim(: they|: we)", "opendkim makes Ed25519 signatures of simple headers that it refuses itself"),
        ("odd-header, simple/.* by opendkim: we", "opendkim's test mode signs what stands behind the colon as if it was one blank and the rest"),
        ("odd-header, simple/.* by us: they", "as above, when it verifies"),
    ])
    for expected, messages in [("pass", signed), ("fail", spoiled), ("fail", readdressed)]:
        for (name, message), their in zip(messages, they_verify([message for _, message in messages])):
            table.row(f"{name}: they", expected, their)
            table.row(f"{name}: we", expected, we_verify(message))
    table.finish()


{"zone": zone, "compare": compare}[sys.argv[1]]()
