import itertools
import sys

import dkim

import auth

ALGORITHMS = {"rsa": "rsa-sha256", "ed": "ed25519-sha256", "our-rsa": "rsa-sha256", "our-ed": "ed25519-sha256"}


def zone():
    records = {
        "rsa": auth.openssl_key("rsa", "rsa", "-pkeyopt", "rsa_keygen_bits:2048"),
        "ed": auth.openssl_key("ed", "ed25519"),
    }
    lines = [auth.record_lines(f"{selector}._domainkey", text) for selector, text in records.items()]
    for selector, kind in [("our-rsa", "rsa"), ("our-ed", "ed25519")]:
        made = auth.check_auth(
            "keygen", kind, "--out", auth.WORK / f"{selector}.pem", "--domain", auth.DOMAIN, "--selector", selector)
        lines.append(made.decode())
    auth.write_zone(auth.DOMAIN, "".join(lines))


def their_key(selector):
    is_rsa = ALGORITHMS[selector] == "rsa-sha256"
    return (auth.WORK / f"{selector}.pem").read_bytes() if is_rsa else auth.seed(selector)


def they_sign(message, selector, form):
    forms = tuple(word.encode() for word in form.split("/"))
    algorithm = ALGORITHMS[selector].encode()
    field = dkim.sign(
        message, selector.encode(), auth.DOMAIN.encode(), their_key(selector), canonicalize=forms, signature_algorithm=algorithm)
    return field + message


def they_verify(message):
    return "pass" if dkim.verify(message) else "fail"


def we_verify(message):
    (signature,) = auth.verdicts(message, "--zone", auth.WORK / "zone.txt")["dkim"]
    return signature["result"]


def signatures():
    table = auth.Table("DKIM, dkimpy")
    for form, selector, (name, message) in itertools.product(auth.CANONICALIZATIONS, ALGORITHMS, auth.MESSAGES.items()):
        for signer, signed in [("dkimpy", they_sign(message, selector, form)), ("us", auth.sign(message, selector, form))]:
            for expected, what, checked in [
                ("pass", "", signed), ("fail", ", spoiled", auth.spoiled(signed)), ("fail", ", readdressed", auth.readdressed(signed)),
            ]:
                title = f"{name}, {form}, {selector}, by {signer}{what}"
                table.row(f"{title}: they", expected, they_verify(checked))
                table.row(f"{title}: we", expected, we_verify(checked))
    table.finish()


def they_seal(message, selector):
    # It seals what Authentication-Results says, and the verdict on the older sets comes from there.
    cv, _, _ = dkim.arc_verify(message)
    results = f"Authentication-Results: dkimpy.example; arc={cv.decode()}; spf=pass smtp.mailfrom={auth.DOMAIN}\r\n".encode()
    fields = dkim.arc_sign(
        results + message, selector.encode(), auth.DOMAIN.encode(), their_key(selector), b"dkimpy.example",
        signature_algorithm=ALGORITHMS[selector].encode())
    # The field itself goes: dkimpy takes what all of its name say into the next set.
    return b"".join(fields) + message


def we_seal(message, selector):
    return auth.seal(
        message, selector, "relaxed/relaxed", auth.DOMAIN, "--zone", auth.WORK / "zone.txt", "--ip", "198.51.100.1", "--helo",
        "mail.peer.example", "--mail-from", f"joe@{auth.DOMAIN}", "--authserv-id", "us.example")


def they_validate(message):
    cv, _, reason = dkim.arc_verify(message)
    return cv.decode() if cv else f"nothing: {reason}"


def we_validate(message):
    return auth.verdicts(message, "--zone", auth.WORK / "zone.txt")["arc"]["result"]


def chains():
    table = auth.Table("ARC, dkimpy")
    sealers = {"dkimpy": they_seal, "us": we_seal}
    for name, message in auth.MESSAGES.items():
        table.row(f"{name}, not sealed: they", "none", they_validate(message))
        table.row(f"{name}, not sealed: we", "none", we_validate(message))
        for length in (1, 2, 3):
            # All that can be on a short message, one for each sealer on the others.
            ways = itertools.product(sealers, repeat=length) if name == "plain" else [["dkimpy"] * length, ["us"] * length]
            for way, selector in itertools.product(ways, ["rsa", "our-rsa"]):
                sealed = message
                for sealer in way:
                    sealed = sealers[sealer](sealed, selector)
                changed = sealed.replace(b"cv=none", b"cv=pass", 1)
                for expected, what, checked in [
                    ("pass", "", sealed), ("fail", ", spoiled", auth.spoiled(sealed)), ("fail", ", first seal changed", changed),
                ]:
                    title = f"{name}, {' then '.join(way)}, {selector}{what}"
                    table.row(f"{title}: they", expected, they_validate(checked))
                    table.row(f"{title}: we", expected, we_validate(checked))
    table.finish()


def compare():
    signatures()
    chains()


{"zone": zone, "compare": compare}[sys.argv[1]]()
