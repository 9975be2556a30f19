//! The log as text, for people.

use std::fmt::{self, Write};
use std::path::Path;

use pillarbox_core::WallTime;
use pillarbox_fs::Fs;

use super::Paths;
use super::segment::{Found, SegmentFile};
use super::survey::parse_name;
use crate::envelope::{BodyKind, ByMode, Recipient, Ret};
use crate::error::Result;
use crate::format::Malformed;
use crate::format::frame::{Kind, Record, SEGMENT_HEADER, Segment, Unusable};
use crate::format::record::{MessageFields, decode_id, decode_message, decode_news};
use crate::state::{Attempt, Notices, Outcome};

/// Writes what the log of a spool holds, a line for each record and recipient, with what is damaged and what is behind its
/// end. It reads only, and may run beside a server. Texts of others are escaped.
///
/// ```
/// use pillarbox_fs::RealFs;
/// use pillarbox_spool::{Options, Store, dump};
/// # let dir = tempfile::tempdir()?;
/// # let path = dir.path().join("spool");
/// # Store::open(RealFs, &path, Options::from_system())?;
///
/// let mut text = String::new();
/// dump(&RealFs, &path, &mut text)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
///
/// [`StoreError::Fs`](crate::StoreError::Fs), where the log or a segment cannot be read.
pub fn dump(fs: &dyn Fs, root: impl AsRef<Path>, out: &mut String) -> Result<()> {
    let paths = Paths::new(root.as_ref());
    let mut names: Vec<_> = fs.list(&paths.log)?.into_iter().map(|entry| entry.name).collect();
    names.sort();
    for name in names {
        let Some((number, salt)) = name.to_str().and_then(parse_name) else {
            line(out, format_args!("{}: not a segment", name.display()));
            continue;
        };
        let mut segment = SegmentFile::open(fs, &paths.log.join(&name))?;
        let chain = match Segment::decode(segment.octets(0, SEGMENT_HEADER)?) {
            Ok(header) => {
                let Segment { floor, previous, previous_end, .. } = header;
                let what = format_args!("floor {floor}, behind segment {previous} that ends at {previous_end}");
                line(out, format_args!("segment {number}: {} octets, {what}", segment.len()));
                Some(header.check)
            }
            Err(Unusable::Version(version)) => {
                line(out, format_args!("segment {number}: version {version}, which this program does not know"));
                continue;
            }
            Err(Unusable::Malformed) => {
                line(out, format_args!("segment {number}: {} octets, its header is damaged", segment.len()));
                None
            }
        };
        let end = segment.len();
        segment.scan(salt, chain, end, &mut |found| {
            match found {
                Found::Record { offset, record, fields } => {
                    if let Err(Malformed(why)) = dump_record(out, *offset, record, fields) {
                        line(out, format_args!("  {offset}: cannot be read: {why}"));
                    }
                }
                Found::Damage { from, to, why } => line(out, format_args!("  {from}: damaged up to {to}: {why}")),
            }
            Ok(())
        })?;
    }
    Ok(())
}

fn dump_record(out: &mut String, offset: u64, record: &Record, fields: &[u8]) -> std::result::Result<(), Malformed> {
    let id = decode_id(fields)?;
    match record.kind {
        Kind::Message => {
            let message = decode_message(fields)?;
            line(out, format_args!("  {offset}: {id} accepted, {}", Envelope(&message, record)));
            dump_recipients(out, &message);
        }
        Kind::Carried => {
            let message = decode_message(fields)?;
            let held = match (message.held, message.is_owed()) {
                (true, _) => ", held",
                (false, true) => ", released",
                (false, false) => "",
            };
            line(out, format_args!("  {offset}: {id} carried forward, {}{held}", Envelope(&message, record)));
            dump_recipients(out, &message);
        }
        Kind::News => {
            let news = decode_news(fields)?;
            let before = news.before.map(|it| format!(", before it {} in segment {}", it.offset, it.segment));
            line(out, format_args!("  {offset}: {id} news{}", before.unwrap_or_default()));
            for about in news.recipients {
                if about.notices != Notices::default() {
                    line(out, format_args!("    {}: notices: {}", about.recipient, Made(about.notices)));
                }
                if let Some(attempt) = &about.attempt {
                    line(out, format_args!("    {}: {}", about.recipient, Tried(attempt)));
                }
            }
        }
        Kind::Hold => line(out, format_args!("  {offset}: {id} held")),
        Kind::Release => line(out, format_args!("  {offset}: {id} released")),
        Kind::Delete => line(out, format_args!("  {offset}: {id} deleted")),
        Kind::Unknown(kind) => line(out, format_args!("  {offset}: {id} kind {kind}")),
    }
    Ok(())
}

fn dump_recipients(out: &mut String, message: &MessageFields) {
    for (at, (recipient, state)) in message.envelope.recipients.iter().zip(&message.states).enumerate() {
        let outcome = state.outcome.map_or("waiting", word);
        let what = format_args!("{} {outcome}, {} attempts", recipient.to, state.attempts);
        line(out, format_args!("    {at}: {what}{}", Asked(recipient)));
        if state.notices != Notices::default() {
            line(out, format_args!("      notices: {}", Made(state.notices)));
        }
        for attempt in &state.history {
            line(out, format_args!("      {}", Tried(attempt)));
        }
    }
}

fn line(out: &mut String, text: fmt::Arguments<'_>) {
    // A String takes everything.
    let _ = writeln!(out, "{text}");
}

struct Envelope<'a>(&'a MessageFields, &'a Record);

impl fmt::Display for Envelope<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Envelope(message, record) = self;
        let from = &message.envelope.from;
        write!(f, "received {}, from {from}", message.envelope.received)?;
        match message.large {
            Some(large) => write!(f, ", {} octets in a file", large.length)?,
            None => write!(f, ", {} octets", record.body_len)?,
        }
        let envelope = &message.envelope;
        match envelope.body {
            BodyKind::SevenBit => {}
            BodyKind::EightBitMime => f.write_str(", 8BITMIME")?,
            BodyKind::BinaryMime => f.write_str(", BINARYMIME")?,
        }
        for (is_set, word) in [
            (envelope.smtputf8, ", SMTPUTF8"),
            (envelope.require_tls, ", REQUIRETLS"),
            (envelope.is_own, ", from one of ours"),
            (envelope.is_last, ", about a notice"),
            (envelope.is_kept, ", stays in mailboxes"),
        ] {
            f.write_str(if is_set { word } else { "" })?;
        }
        if let Some(envid) = &envelope.envid {
            write!(f, ", ENVID \"{}\"", envid.escape_debug())?;
        }
        match envelope.ret {
            Some(Ret::Full) => f.write_str(", RET FULL")?,
            Some(Ret::Hdrs) => f.write_str(", RET HDRS")?,
            None => {}
        }
        if let Some(date) = envelope.hold_until {
            write!(f, ", not before {date}")?;
        }
        if let Some(by) = envelope.deliver_by {
            let mode = if by.mode == ByMode::Return { "returned" } else { "told" };
            write!(f, ", by {} or {mode}{}", by.deadline, if by.trace { ", traced" } else { "" })?;
        }
        if envelope.priority != 0 {
            write!(f, ", priority {}", envelope.priority)?;
        }
        if message.reports > 0 {
            write!(f, ", {} reports, last at {}", message.reports, WallTime::new(message.last_report, 0))?;
        }
        Ok(())
    }
}

/// What the sender wants to know of a recipient.
struct Asked<'a>(&'a Recipient);

impl fmt::Display for Asked<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(notify) = self.0.notify {
            let notices = Notices { success: notify.success, failure: notify.failure, delay: notify.delay };
            write!(f, ", NOTIFY {}", if notify.is_never() { "never".into() } else { Made(notices).to_string() })?;
        }
        match &self.0.orcpt {
            Some(orcpt) => {
                write!(f, ", ORCPT {};{}", orcpt.addr_type.escape_debug(), orcpt.address.escape_debug())
            }
            None => Ok(()),
        }
    }
}

struct Tried<'a>(&'a Attempt);

impl fmt::Display for Tried<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let attempt = self.0;
        write!(f, "{} {}", attempt.at, word(attempt.outcome))?;
        if !attempt.peer.is_empty() {
            write!(f, " by {}", attempt.peer.escape_debug())?;
        }
        if let Some(code) = attempt.code {
            write!(f, " {code}")?;
        }
        if let Some(status) = attempt.status {
            write!(f, " {status}")?;
        }
        write!(f, " \"{}\"", attempt.text.escape_debug())
    }
}

struct Made(Notices);

impl fmt::Display for Made {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all = [(self.0.success, "success"), (self.0.failure, "failure"), (self.0.delay, "delay")];
        for (at, (_, word)) in all.into_iter().filter(|(is_made, _)| *is_made).enumerate() {
            write!(f, "{}{word}", if at > 0 { " " } else { "" })?;
        }
        Ok(())
    }
}

fn word(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Delivered => "delivered",
        Outcome::Relayed => "relayed",
        Outcome::Expanded => "expanded",
        Outcome::Failed => "failed",
        Outcome::Delayed => "delayed",
    }
}
