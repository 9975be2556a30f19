import collections
import re
import sys

import authres

import auth
import milter

GOOD, BAD = "192.0.2.10", "192.0.2.99"

Case = collections.namedtuple("Case", "expected author sender ip signer")


def case(expected, author, sender="elsewhere.example", ip=GOOD, signer=None):
    return Case(expected, author, sender, ip, signer)


# DMARC records, and the names without one that exist.
RECORDS = {
    "none.example": "v=DMARC1; p=none",
    "reject.example": "v=DMARC1; p=reject",
    "quarantine.example": "v=DMARC1;p=quarantine;",
    "strict.example": "v=DMARC1; p=reject; adkim=s; aspf=s",
    "split.example": "v=DMARC1; p=none; sp=reject",
    "own.split.example": "v=DMARC1; p=quarantine",
    "spaces.example": "v=DMARC1 ; p = reject ;rua=mailto:a@spaces.example",
    "unknown.example": "v=DMARC1; p=reject; what=ever; pct=100",
    "other.example": "v=spf1 -all",
    "cases.example": "v=DMARC1; p=REJECT",
    "elsewhere.example": None,
    "absent.example": None,
    "sub.reject.example": None,
    "sub.split.example": None,
    "sub.strict.example": None,
}

# The verdict, and the policy that applies.
CASES = {
    "no record": case(("none", "none"), "absent.example", sender="absent.example"),
    "another record": case(("none", "none"), "other.example", sender="other.example"),
    "nothing passes": case(("fail", "reject"), "reject.example", ip=BAD),
    "nothing is aligned": case(("fail", "reject"), "reject.example", signer="none.example"),
    "policy none": case(("fail", "none"), "none.example", ip=BAD),
    "policy quarantine": case(("fail", "quarantine"), "quarantine.example", ip=BAD),
    "SPF, same": case(("pass", "reject"), "reject.example", sender="reject.example"),
    "SPF fails": case(("fail", "reject"), "reject.example", sender="reject.example", ip=BAD),
    "SPF, sender below": case(("pass", "reject"), "reject.example", sender="sub.reject.example"),
    "SPF, sender above": case(("pass", "reject"), "sub.reject.example", sender="reject.example"),
    "SPF, beside": case(("pass", "reject"), "a.reject.example", sender="sub.reject.example"),
    "SPF, strict, same": case(("pass", "reject"), "strict.example", sender="strict.example"),
    "SPF, strict, below": case(("fail", "reject"), "strict.example", sender="sub.strict.example"),
    "SPF, strict, above": case(("fail", "reject"), "sub.strict.example", sender="strict.example"),
    "SPF, strict, beside": case(("fail", "reject"), "a.strict.example", sender="sub.strict.example"),
    "DKIM, same": case(("pass", "reject"), "reject.example", signer="reject.example"),
    "DKIM, below": case(("pass", "reject"), "reject.example", signer="sub.reject.example"),
    "DKIM, above": case(("pass", "reject"), "sub.reject.example", signer="reject.example"),
    "DKIM, strict, same": case(("pass", "reject"), "strict.example", signer="strict.example"),
    "DKIM, strict, below": case(("fail", "reject"), "strict.example", signer="sub.strict.example"),
    "DKIM, strict, above": case(("fail", "reject"), "sub.strict.example", signer="strict.example"),
    "DKIM where SPF fails": case(("pass", "reject"), "reject.example", sender="reject.example", ip=BAD, signer="reject.example"),
    "SPF where DKIM is another's": case(("pass", "reject"), "reject.example", sender="reject.example", signer="none.example"),
    "below, policy for those": case(("fail", "reject"), "sub.split.example", ip=BAD),
    "below, policy of its own": case(("fail", "quarantine"), "own.split.example", ip=BAD),
    "above, policy of its own": case(("fail", "none"), "split.example", ip=BAD),
    "deep below": case(("fail", "reject"), "a.b.c.split.example", ip=BAD),
    "spaces in the record": case(("fail", "reject"), "spaces.example", ip=BAD),
    "unknown tags": case(("fail", "reject"), "unknown.example", ip=BAD),
    "capitals": case(("fail", "reject"), "cases.example", ip=BAD),
    "capitals of the author": case(("pass", "reject"), "Reject.EXAMPLE", sender="reject.example"),
}


def zone():
    key = auth.record_lines("_", auth.openssl_key("rsa", "rsa", "-pkeyopt", "rsa_keygen_bits:2048")).removeprefix("_")
    lines = []
    for name, record in RECORDS.items():
        name = name.removesuffix(".example")
        lines.append(f'{name} TXT "v=spf1 ip4:{GOOD} -all"\n' + f"rsa._domainkey.{name} {key}")
        if record is not None:
            lines.append(auth.record_lines(f"_dmarc.{name}", record))
    auth.write_zone("example", "".join(lines))
    (auth.WORK / "psl").write_text("example\n")
    (auth.WORK / "opendmarc.conf").write_text(
        "Socket inet:8893@127.0.0.1\nAuthservID opendmarc\nTrustedAuthservIDs us.example\nRequiredHeaders no\nIgnoreHosts /dev/null\n"
        f"PublicSuffixList {auth.WORK}/psl\nSyslog no\n")


def compare():
    table = auth.Table("DMARC, opendmarc", [
        ("strict, be.*: they", "opendmarc takes names of one organization for aligned although the record says strict (RFC 7489 §3.1)"),
    ])
    for name, case in CASES.items():
        message = (
            f"From: Joe <joe@{case.author}>\r\nDate: Thu, 26 Nov 2026 12:00:00 +0000\r\nSubject: x\r\n"
            f"Message-ID: <1@x.example>\r\n\r\ntext\r\n").encode()
        if case.signer:
            message = auth.sign(message, "rsa", domain=case.signer)
        sender = f"joe@{case.sender}"
        found = auth.verdicts(
            message, "--zone", auth.WORK / "zone.txt", "--authserv-id", "us.example", ip=case.ip, sender=sender,
            helo="mail.elsewhere.example")
        ours = found["dmarc"]
        table.row(f"{name}: we", case.expected, (ours["result"], ours["applied_policy"] or "none"))
        # A library for the field reads what we say in it.
        field = "Authentication-Results: " + found["authentication_results"].removeprefix("Authentication-Results:").strip()
        read = authres.AuthenticationResultsHeader.parse(field)
        # SPF stands there twice, for MAIL FROM and behind it for HELO.
        methods = {result.method: result.result for result in reversed(read.results)}
        said = {"spf": found["spf"]["result"], "dmarc": ours["result"], "dkim": found["dkim"][0]["result"] if case.signer else "none"}
        table.row(f"{name}: authres", said, {method: methods.get(method, "none") for method in said})
        # What we say of SPF and DKIM alone.
        results = found["authentication_results"]
        results = ";".join(part for part in results.split(";") if "dmarc=" not in part and "arc=" not in part)
        field = results if results.startswith("Authentication-Results:") else f"Authentication-Results: {results}"
        filter = milter.Filter(("127.0.0.1", 8893), case.ip, "mail.elsewhere.example")
        added, end = filter.show(sender, field.strip().encode() + b"\r\n" + message)
        filter.close()
        said = "\n".join(value for _, value in added)
        verdict = re.search(r"dmarc=(\w+) (?:\(p=(\w+))?", said)
        table.row(f"{name}: they", case.expected, (verdict[1], verdict[2]) if verdict else (said, end))
    table.finish()


{"zone": zone, "compare": compare}[sys.argv[1]]()
