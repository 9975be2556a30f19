import collections
import sys

import spf

import auth

IP4, IP6, HELO = "192.0.2.10", "2001:db8::10", "mail.spf.example"

Case = collections.namedtuple("Case", "expected record more ip sender helo explanation", defaults=("", IP4, "", HELO, ""))


def case(expected, record, more="", **rest):
    return Case(expected, record, more, **rest)


# Each at a name of its own, `NAME.spf.example`: `$d` in texts, the origin of the records beside it.
CASES = {
    "all-fail": case("fail", "v=spf1 -all"),
    "all-softfail": case("softfail", "v=spf1 ~all"),
    "all-neutral": case("neutral", "v=spf1 ?all"),
    "all-pass": case("pass", "v=spf1 all"),
    "nothing-matches": case("neutral", "v=spf1"),
    "no-record": case("none", None, '@ TXT "v=spf10 all"'),
    "no-such-name": case("none", None),
    "two-records": case("permerror", "v=spf1 all", '@ TXT "v=spf1 -all"'),
    "upper-case": case("pass", "V=SPF1 IP4:192.0.2.10 -ALL"),
    "split-strings": case("pass", None, '@ TXT "v=spf1 ip4:192.0" ".2.10 -all"'),
    "ip4": case("pass", "v=spf1 ip4:192.0.2.10 -all"),
    "ip4-network": case("pass", "v=spf1 ip4:192.0.2.0/28 -all"),
    "ip4-other-network": case("fail", "v=spf1 ip4:192.0.2.16/28 -all"),
    "ip4-bad": case("permerror", "v=spf1 ip4:192.0.2 -all"),
    "ip4-bad-length": case("permerror", "v=spf1 ip4:192.0.2.0/33 -all"),
    "ip6": case("pass", "v=spf1 ip6:2001:db8::/32 -all", ip=IP6),
    "ip6-for-ip4": case("fail", "v=spf1 ip6:2001:db8::/32 -all"),
    "ip6-mapped": case("pass", "v=spf1 ip4:192.0.2.10 -all", ip=f"::ffff:{IP4}"),
    "a": case("pass", "v=spf1 a -all", f"@ A {IP4}"),
    "a-of-other": case("pass", "v=spf1 a:host.$d -all", f"host A {IP4}"),
    "a-network": case("pass", "v=spf1 a/24 -all", "@ A 192.0.2.200"),
    "a-two-networks": case("pass", "v=spf1 a/31//64 -all", "@ AAAA 2001:db8::ffff", ip=IP6),
    "a-by-alias": case("pass", "v=spf1 a:alias.$d -all", f"alias CNAME host\nhost A {IP4}"),
    "a-absent": case("fail", "v=spf1 a:nobody.$d -all"),
    "mx": case("pass", "v=spf1 mx -all", f"@ MX 10 one\n@ MX 20 two\none A 192.0.2.1\ntwo A {IP4}"),
    "mx-null": case("fail", "v=spf1 mx -all", "@ MX 0 ."),
    "mx-ip6": case("pass", "v=spf1 mx -all", f"@ MX 10 one\none AAAA {IP6}", ip=IP6),
    "mx-eleven": case(
        "permerror", "v=spf1 mx -all", "".join(f"@ MX {n} m{n}\nm{n} A 192.0.2.{n + 100}\n" for n in range(11))),
    "ptr": case("pass", "v=spf1 ptr:spf.example -all"),
    "ptr-not-confirmed": case("fail", "v=spf1 ptr:spf.example -all", ip="192.0.2.11"),
    "exists-macro": case("pass", "v=spf1 exists:%{ir}.%{l1r-}.list.$d -all", "10.2.0.192.joe.list A 127.0.0.2", sender="joe-list@$d"),
    "exists-ip6-macro": case(
        "pass", "v=spf1 exists:%{i}.list.$d -all", f"{'.'.join('20010db8' + '0' * 22 + '10')}.list A 127.0.0.2", ip=IP6),
    "exists-quoted": case("pass", "v=spf1 exists:%{s}.list.$d -all", "joe\\@exists-quoted.spf.example.list A 127.0.0.2"),
    "exists-no-aaaa": case("fail", "v=spf1 exists:only6.$d -all", "only6 AAAA ::1", ip=IP6),
    "include": case("pass", "v=spf1 include:good.$d -all", f'good TXT "v=spf1 ip4:{IP4} -all"'),
    "include-no-match": case("softfail", "v=spf1 include:bad.$d ~all", 'bad TXT "v=spf1 -all"'),
    "include-none": case("permerror", "v=spf1 include:nobody.$d -all"),
    "include-itself": case("permerror", "v=spf1 include:$d -all"),
    "redirect": case("pass", "v=spf1 redirect=good.$d", f'good TXT "v=spf1 ip4:{IP4} -all"'),
    "redirect-none": case("permerror", "v=spf1 redirect=nobody.$d"),
    "redirect-behind-all": case("fail", "v=spf1 redirect=good.$d -all", f'good TXT "v=spf1 ip4:{IP4} -all"'),
    "redirect-twice": case("permerror", "v=spf1 redirect=good.$d redirect=good.$d", f'good TXT "v=spf1 ip4:{IP4} -all"'),
    "ten-terms": case(
        "pass", "v=spf1 " + " ".join(f"a:h{n}.$d" for n in range(10)) + " -all",
        "".join(f"h{n} A 192.0.2.{n + 1}\n" for n in range(10))),
    "eleven-terms": case(
        "permerror", "v=spf1 " + " ".join(f"a:h{n}.$d" for n in range(11)) + " -all",
        "".join(f"h{n} A 192.0.2.{n + 20}\n" for n in range(11))),
    "two-empty": case("fail", "v=spf1 a:n1.$d a:n2.$d -all"),
    "three-empty": case("permerror", "v=spf1 a:n1.$d a:n2.$d a:n3.$d -all"),
    "lookup-fails": case("temperror", "v=spf1 a:broken.example -all"),
    "unknown-mechanism": case("permerror", f"v=spf1 ip4:{IP4} what:ever -all"),
    "unknown-modifier": case("pass", f"v=spf1 what=ever ip4:{IP4} -all"),
    "helo-for-null": case("pass", f"v=spf1 ip4:{IP4} -all", sender="<>", helo="$d"),
    "explained": case(
        "fail", "v=spf1 exp=why.$d -all", 'why TXT "100%% sure: %{i} is none of %{d}%_(%{s})"',
        explanation=f"100% sure: {IP4} is none of $d (joe@$d)"),
    "explained-by-include": case(
        "fail", "v=spf1 include:other.$d -all", 'other TXT "v=spf1 exp=why.$d -all"\nwhy TXT "not this"'),
}


def at(name, text):
    return text.replace("$d", f"{name}.spf.example")


def zone():
    records = [f"mail A {IP4}\n"]
    for name, case in CASES.items():
        records.append(f"$ORIGIN {name}.spf.example.\n")
        if case.record is not None:
            records.append(auth.record_lines("@", at(name, case.record)))
        records.append(at(name, case.more) + "\n")
    auth.write_zone("spf.example", "".join(records))
    auth.write_zone("2.0.192.in-addr.arpa", "10 PTR mail.spf.example.\n11 PTR mail.spf.example.\n")
    auth.write_zone("8.b.d.0.1.0.0.2.ip6.arpa", "")
    with open(auth.WORK / "zone.txt", "a") as every:
        every.write("; TEMPFAIL broken.example.\n")


def they_check(ip, sender, helo):
    query = spf.query(i=ip, s="" if sender == "<>" else sender, h=helo)
    # What is told to those who fail without a text in the record is each program's own.
    query.set_default_explanation("")
    result, _, explanation = query.check()
    return result, explanation if result == "fail" else ""


def we_check(ip, sender, helo, *resolver):
    found = auth.verdicts(b"From: a@b.example\r\n\r\n", *resolver, ip=ip, sender=sender, helo=helo)["spf"]
    return found["result"], found["explanation"] or ""


def compare():
    table = auth.Table("SPF, pyspf")
    for name, case in CASES.items():
        client = case.ip, at(name, case.sender or "joe@$d"), at(name, case.helo)
        expected = case.expected, at(name, case.explanation)
        table.row(f"{name}: they", expected, they_check(*client))
        table.row(f"{name}: we", expected, we_check(*client, "--resolver", "192.0.2.53"))
        table.row(f"{name}: we with a file", expected, we_check(*client, "--zone", auth.WORK / "zone.txt"))
    table.finish()


{"zone": zone, "compare": compare}[sys.argv[1]]()
