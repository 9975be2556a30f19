import itertools
import json
import sys
import urllib.request

import auth

ALGORITHMS = {"rsa": "rsa-sha256", "ed": "ed25519-sha256"}
GOOD = "192.0.2.10"

CONFIGURATION = """
options {
    pidfile = "%(work)s/rspamd/pid";
    tempdir = "%(work)s/rspamd";
    cache_file = "%(work)s/rspamd/cache";
    dynamic_conf = "%(work)s/rspamd/dynamic";
    history_file = "%(work)s/rspamd/history";
    hs_cache_dir = "%(work)s/rspamd";
    url_tld = "%(work)s/psl";
    filters = "dkim";
    dns { nameserver = ["192.0.2.53:53"]; }
}
logging { type = "console"; level = "warning"; }
actions { reject = 999; }
worker "normal" { bind_socket = "127.0.0.1:11333"; count = 1; enabled = true; }
modules { path = "/usr/share/rspamd/plugins/"; }
dkim { }
spf { }
dmarc { }
dkim_signing {
    sign_authenticated = true; use_esld = false; allow_username_mismatch = true; allow_hdrfrom_mismatch = true;
    domain { sig.example { selectors = [
        { selector = "rsa"; path = "%(work)s/rsa.pem"; }, { selector = "ed"; path = "%(work)s/ed.seed"; }
    ] } }
}
arc {
    sign_inbound = true; use_domain = "recipient"; use_esld = false;
    domain { seal.example { selector = "rsa"; path = "%(work)s/rsa.pem"; } }
}
"""


def zone():
    records = {
        "rsa": auth.openssl_key("rsa", "rsa", "-pkeyopt", "rsa_keygen_bits:2048"),
        "ed": auth.openssl_key("ed", "ed25519"),
    }
    (auth.WORK / "ed.seed").write_bytes(auth.seed("ed"))
    keys = "".join(auth.record_lines(f"{selector}._domainkey", text) for selector, text in records.items())
    auth.write_zone("sig.example", f'{keys}@ TXT "v=spf1 ip4:{GOOD} ~all"\n_dmarc TXT "v=DMARC1; p=reject"\n')
    auth.write_zone("seal.example", keys)
    (auth.WORK / "psl").write_text("example\n")
    (auth.WORK / "rspamd.conf").write_text(CONFIGURATION % {"work": auth.WORK})


def rspamd(message, ip=GOOD, recipient="you@peer.example", **more):
    """What rspamd finds in a message."""
    headers = {"IP": ip, "Helo": "mail.sig.example", "From": f"joe@{auth.DOMAIN}", "Rcpt": recipient, **more}
    request = urllib.request.Request("http://127.0.0.1:11333/checkv2", message, headers)
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)


def words(found, prefix, **of):
    """The results that symbols stand for."""
    return " ".join(sorted({of.get(name.removeprefix(prefix), name) for name in found["symbols"] if name.startswith(prefix)}))


def they_check(message, **session):
    found = rspamd(message, **session)
    return {
        "dkim": words(found, "R_DKIM_", ALLOW="pass", REJECT="fail", NA="none"),
        "arc": words(found, "ARC_", ALLOW="pass", REJECT="fail", INVALID="fail", NA="none"),
        "spf": words(found, "R_SPF_", ALLOW="pass", SOFTFAIL="softfail", FAIL="fail"),
        "dmarc": words(found, "DMARC_", POLICY_ALLOW="pass", POLICY_REJECT="fail"),
    }


def we_check(message, ip=GOOD):
    found = auth.verdicts(message, "--zone", auth.WORK / "zone.txt", ip=ip, helo="mail.sig.example")
    return {
        "dkim": " ".join(sorted({signature["result"] for signature in found["dkim"]})) or "none",
        **{method: found[method]["result"] for method in ("arc", "spf", "dmarc")},
    }


def they_sign(message):
    fields = rspamd(message, User="joe")["dkim-signature"]
    assert len(fields) == 2, fields
    return b"".join(f"DKIM-Signature: {field}\r\n".encode() for field in fields) + message


def they_seal(message):
    found = rspamd(message, recipient="you@seal.example")
    added = found["milter"]["add_headers"]
    # Each goes on top of the ones before.
    fields = [f"{name}: {added[name]['value']}\r\n".encode() for name in ("ARC-Seal", "ARC-Message-Signature", "ARC-Authentication-Results")]
    return b"".join(fields) + message


def we_seal(message):
    return auth.seal(
        message, "rsa", "relaxed/relaxed", "seal.example", "--zone", auth.WORK / "zone.txt", "--ip", GOOD, "--helo",
        "mail.sig.example", "--mail-from", f"joe@{auth.DOMAIN}", "--authserv-id", "us.example")


def compare_all(table, name, method, signed):
    for expected, what, checked in [
        ("pass", "", signed), ("fail", ", spoiled", auth.spoiled(signed)), ("fail", ", readdressed", auth.readdressed(signed)),
    ]:
        table.row(f"{name}{what}: they", expected, they_check(checked)[method])
        table.row(f"{name}{what}: we", expected, we_check(checked)[method])


def compare():
    table = auth.Table("DKIM, rspamd", [])
    for name, message in auth.MESSAGES.items():
        compare_all(table, f"{name}, by rspamd", "dkim", they_sign(message))
        for form, selector in itertools.product(auth.CANONICALIZATIONS, ALGORITHMS):
            compare_all(table, f"{name}, {form}, {selector}, by us", "dkim", auth.sign(message, selector, form))
    table.finish()

    table = auth.Table("ARC, rspamd", [])
    sealers = {"rspamd": they_seal, "us": we_seal}
    for name, message in auth.MESSAGES.items():
        for length in (1, 2):
            for way in itertools.product(sealers, repeat=length):
                sealed = message
                for sealer in way:
                    sealed = sealers[sealer](sealed)
                compare_all(table, f"{name}, {' then '.join(way)}", "arc", sealed)
    table.finish()

    table = auth.Table("SPF and DMARC, rspamd", [])
    message = auth.MESSAGES["plain"]
    signed = auth.sign(message, "rsa")
    for name, checked, ip, expected in [
        ("from the right host", message, GOOD, ("pass", "pass")),
        ("from another", message, "192.0.2.99", ("softfail", "fail")),
        ("from another, signed", signed, "192.0.2.99", ("softfail", "pass")),
        ("from another, spoiled", auth.spoiled(signed), "192.0.2.99", ("softfail", "fail")),
    ]:
        for who, found in [("they", they_check(checked, ip=ip)), ("we", we_check(checked, ip))]:
            table.row(f"{name}: {who}", expected, (found["spf"], found["dmarc"]))
    table.finish()


{"zone": zone, "compare": compare}[sys.argv[1]]()
