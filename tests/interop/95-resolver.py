import socket
import sys
import time

import auth

IP = "192.0.2.10"


def zone():
    # A record of some 5,000 octets, which no datagram takes: what lists the client stands at its end.
    terms = [f"ip4:198.51.{n // 250}.{n % 250}" for n in range(280)]
    big = f"v=spf1 {' '.join(terms)} ip4:{IP} -all"
    records = [
        auth.record_lines("@", f"v=spf1 ip4:{IP} -all"),
        auth.record_lines("big", big),
        # Answers that fill a datagram to the last octets, and those just beyond.
        *(auth.record_lines(f"size{size}", f"v=spf1 ip4:{IP} " + "x=" + "y" * size) for size in (1000, 1100, 1150, 1200, 1232, 1400)),
        auth.record_lines("nobody", "v=spf1 a:absent.signed.example ip4:192.0.2.99 ~all"),
        auth.record_lines("nothing", "v=spf1 a:www.signed.example ~all"),
        auth.record_lines("sick", "v=spf1 a:broken.example ~all"),
        auth.record_lines("aliases", "v=spf1 a:one.signed.example -all"),
        "one CNAME two\ntwo CNAME three\n", f"three A {IP}\n",
        auth.record_lines("loop", "v=spf1 a:round.signed.example ~all"), "round CNAME about\nabout CNAME round\n",
        auth.record_lines("*.wild", f"v=spf1 ip4:{IP} -all"),
        "www AAAA 2001:db8::1\n",
        auth.record_lines("mx", "v=spf1 mx -all"),
        *(f"mx MX {n} h{n}\nh{n} A 192.0.2.{n + 1}\n" for n in range(10)),
    ]
    auth.write_zone("signed.example", "".join(records))
    auth.write_zone("forged.example", auth.record_lines("@", f"v=spf1 ip4:{IP} -all"))


# Senders, and the results.
CASES = {
    "signed.example": "pass",
    "big.signed.example": "pass",
    **{f"size{size}.signed.example": "pass" for size in (1000, 1100, 1150, 1200, 1232, 1400)},
    "no.such.name.signed.example": "none",
    "www.signed.example": "none",
    "nobody.signed.example": "softfail",
    "nothing.signed.example": "softfail",
    "aliases.signed.example": "pass",
    "a.wild.signed.example": "pass",
    "SIGNED.Example": "pass",
    "mx.signed.example": "pass",
    "sick.signed.example": "temperror",
    "broken.example": "temperror",
}


def spf(sender, server, *more):
    message = b"From: a@b.example\r\n\r\n"
    return auth.verdicts(message, "--resolver", server, *more, ip=IP, helo="mail.signed.example", sender=f"joe@{sender}")["spf"]["result"]


def compare():
    table = auth.Table("our resolver", [])
    for server, address in [("knot", "192.0.2.53"), ("unbound", "192.0.2.54:53")]:
        for sender, expected in CASES.items():
            table.row(f"{sender} of {server}", expected, spf(sender, address))
    table.row("a forged answer, without validation", "pass", spf("forged.example", "192.0.2.53"))
    table.row("a forged answer, with validation", "temperror", spf("forged.example", "192.0.2.54"))
    table.row("a name of another server's, refused", "temperror", spf("elsewhere.test", "192.0.2.53"))
    table.row("nobody listens", "temperror", spf("signed.example", "192.0.2.53:9", "--patience", "2"))
    # It takes questions and gives no answer.
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("192.0.2.54", 5300))
        began = time.monotonic()
        table.row("no answer", "temperror", spf("signed.example", "192.0.2.54:5300", "--patience", "2"))
        print(f"    gave up after {time.monotonic() - began:.1f} of 2 s")
        table.row("the first of two servers is silent", "pass", spf("signed.example", "192.0.2.54:5300", "--resolver", "192.0.2.53"))
    table.row("the loop of an alias", "temperror", spf("loop.signed.example", "192.0.2.53"))
    # What /etc/resolv.conf names.
    message = b"From: a@b.example\r\n\r\n"
    found = auth.verdicts(message, ip=IP, helo="mail.signed.example", sender="joe@signed.example")
    table.row("the system's servers", "pass", found["spf"]["result"])
    table.finish()


{"zone": zone, "compare": compare}[sys.argv[1]]()
