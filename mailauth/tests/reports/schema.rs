//! What is written obeys the published schemas. They are checked by Python with lxml where that is installed;
//! `PILLARBOX_PYTHON` names another interpreter than `python3`.

#![allow(clippy::print_stderr, reason = "a test that is skipped says so")]

use std::path::PathBuf;
use std::process::Command;

use pillarbox_auth::dmarc::{self, OverrideReason};
use pillarbox_auth::reports::aggregate::{
    ActionDisposition, CollectLimits, Collector, Dialect, DkimResult, DkimSeen, Metadata, Observation, Period,
    PublishedPolicy, Reason, Report, SpfResult, SpfSeen, Text,
};

/// Reads a schema and documents, and says what is wrong with the first that does not obey.
const PROGRAM: &str = "
import sys
from lxml import etree
schema = etree.XMLSchema(etree.parse(sys.argv[1]))
for document in sys.argv[2:]:
    schema.assertValid(etree.parse(document))
";

fn python() -> Option<Command> {
    let interpreter = std::env::var_os("PILLARBOX_PYTHON").unwrap_or_else(|| "python3".into());
    let has_lxml = Command::new(&interpreter).args(["-c", "import lxml.etree"]).output();
    if !has_lxml.is_ok_and(|output| output.status.success()) {
        eprintln!("skipped: no Python with lxml, so no schema is checked");
        return None;
    }
    Some(Command::new(interpreter))
}

fn shared(path: &str) -> Option<PathBuf> {
    let Some(folder) = std::env::var_os("PILLARBOX_SHARED") else {
        eprintln!("skipped: PILLARBOX_SHARED is not set, so {path} is not read");
        return None;
    };
    let file = PathBuf::from(folder).join(path);
    assert!(file.exists(), "{} is missing", file.display());
    Some(file)
}

/// A report with all that a collector can put into one.
fn report() -> Report {
    let name = |text: &str| text.parse().unwrap();
    let record = dmarc::Record::parse(b"v=DMARC1; p=reject; t=y").unwrap();
    let policy = PublishedPolicy::new(name("example.org"), record);
    let author = name("a.example.org");
    let dkim = [DkimResult::Pass, DkimResult::PermError, DkimResult::Neutral].map(|result| DkimSeen {
        domain: name("example.org"),
        selector: name("s1"),
        result,
        is_aligned: true,
        human_result: Some("2048 bits <&>".into()),
    });
    let spf = SpfSeen { domain: name("example.org"), result: SpfResult::SoftFail, human_result: Some("x".into()) };
    let reasons = [
        Reason::new(OverrideReason::PolicyTestMode, None),
        Reason::new(OverrideReason::LocalPolicy, Some("a rule".into())),
        Reason::new(OverrideReason::SampledOut, None),
    ];
    let mut collector = Collector::new(CollectLimits::default());
    for disposition in
        [ActionDisposition::None, ActionDisposition::Pass, ActionDisposition::Quarantine, ActionDisposition::Reject]
    {
        let mut message = Observation::new(&policy, [192, 0, 2, 1].into(), &author, disposition);
        message.spf = Some(&spf);
        collector.add(&message);
        message.dkim = &dkim;
        message.reasons = reasons.to_vec();
        message.envelope_from = Some(&author);
        message.envelope_to = Some(&author);
        collector.add(&message);
    }
    let mut metadata = Metadata::new("Org", "a@example.net", "1@example.net", Period::containing(0, Period::DAY));
    metadata.extra_contact_info = Some(Text { text: "hier".into(), lang: Some("de".into()) });
    metadata.errors = ["one".into(), "two".into()].into();
    metadata.generator = Some("Pillarbox".into());
    collector.take_all()[0].to_report(metadata)
}

fn validate(mut python: Command, schema: PathBuf, documents: &[String]) {
    let folder = tempfile::tempdir().unwrap();
    let paths = documents.iter().enumerate().map(|(number, document)| {
        let path = folder.path().join(format!("{number}.xml"));
        std::fs::write(&path, document).unwrap();
        path
    });
    let output = python.args(["-c", PROGRAM]).arg(schema).args(paths).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn reports_obey_the_schema_of_rfc_9990() {
    let (Some(python), Some(schema)) = (python(), shared("conformance/reports/ietf/dmarc-xml-0.2.xsd")) else { return };
    validate(python, schema, &[report().to_xml()]);
}

#[test]
fn reports_obey_the_schema_of_rfc_7489() {
    let (Some(python), Some(rfc)) = (python(), shared("rfc/rfc7489.txt")) else { return };
    let rfc = std::fs::read_to_string(rfc).unwrap();
    let start = rfc.rfind("<?xml version=\"1.0\"?>\n   <xs:schema").unwrap();
    let end = start + rfc[start..].find("</xs:schema>").unwrap() + "</xs:schema>".len();
    // The lines between the pages of the RFC are none of the schema, and neither is the namespace that nobody writes.
    let is_between =
        |line: &&str| !(line.contains("[Page ") || line.starts_with("RFC 7489 ") || line.contains('\u{c}'));
    let schema = rfc[start..end].lines().filter(is_between).collect::<Vec<_>>().join("\n");
    // A pattern is broken over lines.
    let schema = ["|", "{3}"].iter().fold(schema, |schema, end| {
        schema.split(&format!("{end}\n")).map(str::trim_start).collect::<Vec<_>>().join(end)
    });
    let schema = schema.replace("targetNamespace=\"http://dmarc.org/dmarc-xml/0.1\"", "");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rfc7489.xsd");
    std::fs::write(&path, schema).unwrap();
    let mut report = report();
    report.dialect = Dialect::Rfc7489;
    // The schema demands a result of SPF in every record, and has one here.
    validate(python, path, &[report.to_xml()]);
}
