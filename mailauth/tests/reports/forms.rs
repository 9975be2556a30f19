//! The forms in which the same report may come.

use pillarbox_auth::reports::aggregate::{ActionDisposition, Dialect, ParseLimits, Parsed, Report, SpfResult};

const REPORT: &str = "<feedback><version>1.0</version><report_metadata><org_name>x</org_name><email>x</email>\
    <report_id>x</report_id><date_range><begin>0</begin><end>9</end></date_range></report_metadata>\
    <policy_published><domain>example.org</domain><p>none</p></policy_published>\
    <record><row><source_ip>192.0.2.1</source_ip><count>2</count><policy_evaluated><disposition>none</disposition>\
    <dkim>pass</dkim><spf>fail</spf></policy_evaluated></row><identifiers><header_from>example.org</header_from></identifiers>\
    <auth_results><spf><domain>example.org</domain><result>fail</result></spf></auth_results></record></feedback>";

fn parse(xml: impl AsRef<[u8]>) -> Parsed {
    Report::parse(xml.as_ref(), &ParseLimits::default()).unwrap()
}

fn faults(xml: &str) -> Vec<String> {
    parse(xml).faults.iter().map(|fault| fault.to_string()).collect()
}

#[test]
fn all_of_these_say_the_same() {
    let plain = parse(REPORT);
    assert!(plain.faults.is_empty());
    let utf16 = |to: fn(u16) -> [u8; 2]| {
        let units = "\u{feff}".encode_utf16().chain(REPORT.encode_utf16());
        units.flat_map(to).collect::<Vec<u8>>()
    };
    for (form, xml) in [
        ("a mark", ["\u{feff}", REPORT].concat().into_bytes()),
        ("UTF-16, low octets first", utf16(u16::to_le_bytes)),
        ("UTF-16, high octets first", utf16(u16::to_be_bytes)),
        ("a declaration of another encoding", ["<?xml version='1.1' encoding='utf-7'?>", REPORT].concat().into_bytes()),
        (
            "a document type",
            ["<!DOCTYPE feedback SYSTEM \"x\" [<!ELEMENT feedback ANY>]>", REPORT].concat().into_bytes(),
        ),
        ("within another element", format!("<a><b>{REPORT}</b></a>").into_bytes()),
        ("something behind", format!("{REPORT}<a></b>&").into_bytes()),
        ("white space", REPORT.replace('<', " \r\n<").replace('>', ">\t").into_bytes()),
        ("comments", REPORT.replace("example.org", "exam<!-- <x> -->ple.org").into_bytes()),
        ("CDATA", REPORT.replace("example.org", "<![CDATA[example.org]]>").into_bytes()),
        ("references", REPORT.replace("example.org", "&#101;x&#x61;mple.org").into_bytes()),
        ("other cases of words", REPORT.replace("pass", "PASS").replace("fail", "Fail").into_bytes()),
        ("another word", REPORT.replace("<result>fail", "<result>hardfail").into_bytes()),
        ("attributes", REPORT.replace("<row>", "<row a='1' b=\"2\">").into_bytes()),
        (
            "extensions",
            REPORT
                .replace("</row>", "<x:count>7</x:count><more><count>7</count></more></row>")
                .replace("<record>", "<extension><x:record><row/></x:record></extension><record>")
                .into_bytes(),
        ),
        ("a prefix", REPORT.replace("</", "</d:").replace("<", "<d:").replace("<d:/d:", "</d:").into_bytes()),
        (
            "a prefix of the root alone",
            REPORT.replace("<feedback>", "<d:feedback>").replace("</feedback>", "</d:feedback>").into_bytes(),
        ),
    ] {
        assert_eq!(parse(&xml).report, plain.report, "{form}");
    }
}

#[test]
fn the_form_is_told_by_its_namespace_or_its_elements() {
    assert_eq!(parse(REPORT).report.dialect, Dialect::Rfc7489);
    for (from, to) in [
        ("<feedback>", "<feedback xmlns=\"urn:ietf:params:xml:ns:dmarc-2.0\">"),
        ("<p>", "<testing>n</testing><p>"),
        ("<p>", "<discovery_method>psl</discovery_method><p>"),
    ] {
        assert_eq!(parse(REPORT.replace(from, to)).report.dialect, Dialect::Rfc9990, "{to}");
    }
}

#[test]
fn what_is_wrong_is_told_and_left_out() {
    for (from, to, fault) in [
        (">none</p>", ">all</p>", "p cannot be understood"),
        ("<p>none</p>", "", "p is missing"),
        ("<p>", "<p>reject</p><p>", "p is there more than once"),
        ("<p>", "<adkim>x</adkim><p>", "adkim cannot be understood"),
        ("<p>", "<pct>101</pct><p>", "pct cannot be understood"),
        ("<p>", "<testing>maybe</testing><p>", "testing cannot be understood"),
        (">192.0.2.1<", ">localhost<", "source_ip cannot be understood"),
        (">2</count>", ">-2</count>", "count cannot be understood"),
        (">pass</dkim>", ">softpass</dkim>", "dkim cannot be understood"),
        ("<header_from>example.org</header_from>", "", "header_from is missing"),
        ("<end>9</end>", "<end>9</end><end>10</end>", "end is there more than once"),
        ("<begin>0", "<begin>10", "date_range cannot be understood"),
        ("</report_metadata>", "</b></report_metadata>", "feedback is not balanced"),
        ("</header_from>", "", "header_from is not balanced"),
        ("<org_name>x", "<org_name>AT&T &copy;", "org_name refers to an entity"),
    ] {
        let xml = REPORT.replacen(from, to, 1);
        assert_ne!(xml, REPORT);
        assert!(faults(&xml).iter().any(|told| told == fault), "{to}: {:?}", faults(&xml));
    }
    // A sign that stands for nothing is one.
    assert_eq!(parse(REPORT.replace("<org_name>x", "<org_name>AT&T")).report.metadata.org_name, "AT&T");
    let long = REPORT.replace("<org_name>x", &format!("<org_name>{}", "\u{20ac}".repeat(5000)));
    assert_eq!(faults(&long), ["org_name is too long and was cut"]);
    assert_eq!(parse(&long).report.metadata.org_name.len(), 4095);
}

#[test]
fn words_of_one_form_are_written_in_the_other() {
    let xml = REPORT
        .replace("<disposition>none", "<disposition>pass")
        .replace("</policy_evaluated>", "<reason><type>sampled_out</type></reason><reason><type>policy_test_mode</type></reason></policy_evaluated>")
        .replace("</spf></auth_results>", "</spf><spf><domain>h.example</domain><scope>helo</scope><result>pass</result></spf></auth_results>");
    let mut report = parse(&xml).report;
    assert_eq!(report.records[0].evaluated.disposition, Some(ActionDisposition::Pass));
    let written = report.to_xml();
    assert!(written.contains("<disposition>none</disposition>") && written.contains("<type>sampled_out</type>"));
    assert!(written.contains("<type>other</type>") && written.contains("<scope>helo</scope>"));
    assert!(written.contains("<envelope_from></envelope_from>") && !written.contains("xmlns"));
    report.dialect = Dialect::Rfc9990;
    let written = report.to_xml();
    assert!(written.contains("<disposition>pass</disposition>") && written.contains("<type>policy_test_mode</type>"));
    assert!(!written.contains("sampled_out") && !written.contains("helo"));
    assert_eq!(parse(&written).report.records[0].spf[0].result, Some(SpfResult::Fail));
}

#[test]
fn text_stays_text() {
    let mut report = parse(REPORT).report;
    report.metadata.org_name = "</org_name><email>evil&amp;]]>\u{0}\u{1f}\u{ffff}\"'".into();
    let written = report.to_xml();
    let read = parse(&written);
    assert_eq!(read.report.metadata.org_name, "</org_name><email>evil&amp;]]>\u{fffd}\u{fffd}\u{fffd}\"'");
    assert_eq!(read.report.metadata.email, "x");
    assert!(read.faults.is_empty());
}
