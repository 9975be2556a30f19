//! What `mailserver queue` and a running server say to each other: one line of JSON asks, lines of JSON answer, the last of
//! which is `done` or `error`. A connection is one question.

use serde::{Deserialize, Serialize};

use super::selection::Selection;

/// The version of what is said here. A server answers no other.
pub const VERSION: u32 = 1;
/// Octets of a question.
pub const REQUEST_MAX: usize = 64 * 1024;
/// Octets of a line of an answer.
pub const ANSWER_MAX: usize = 2 << 20;
/// Octets of the recipients in one line; the others are counted.
pub const RECIPIENTS_SIZE_MAX: usize = 1 << 20;
/// Messages that are named in one line of an answer, and in one question.
pub const IDS_MAX: usize = 1000;

/// The question.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    pub version: u32,
    pub verb: Verb,
    #[serde(default)]
    pub select: Selection,
    /// In place of what is known of a message: a part of the message itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub part: Option<Part>,
}

/// What is shown of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Part {
    Header,
    Content,
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verb {
    List,
    Show,
    Flush,
    Hold,
    Release,
    Requeue,
    Delete,
}

/// The start of every question, by which one of another version is known.
#[derive(Deserialize)]
struct Version {
    version: u32,
}

impl Request {
    /// Reads a question; what is wrong with others is told to whoever asked.
    pub fn parse(line: &[u8]) -> Result<Self, String> {
        let Version { version } =
            serde_json::from_slice(line).map_err(|error| format!("this is no question: {error}"))?;
        if version != VERSION {
            return Err(format!(
                "the server speaks version {VERSION} of the queue's protocol, and was asked in version {version}: use the \
                 mailserver program of the same release, and restart the server after an update"
            ));
        }
        let request: Request = serde_json::from_slice(line).map_err(|error| format!("this is no question: {error}"))?;
        let is_one = request.verb == Verb::Show && request.select.ids.len() == 1;
        match request.select.ids.len() > IDS_MAX {
            true => Err(format!("a question names at most {IDS_MAX} messages")),
            false if request.part.is_some() && !is_one => Err("content is shown of one message".into()),
            false => Ok(request),
        }
    }
}

/// A line of an answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Answer {
    /// A message.
    Message(ShownMessage),
    /// A piece of the content of the message that was asked for: each character is the octet of its number.
    Content(String),
    /// Messages with which it was done.
    Changed(Vec<String>),
    /// A message that was asked for is not waiting.
    Missing(String),
    /// Something that is worth knowing.
    Note(String),
    /// All was done.
    Done,
    /// It was not, or not all.
    Error(String),
}

/// A message as it is shown. Dates are seconds since 1970.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShownMessage {
    pub id: String,
    /// Empty: the null path.
    pub sender: String,
    pub size: u64,
    pub received: i64,
    pub held: bool,
    /// -9 to 9; more goes first.
    #[serde(default)]
    pub priority: i8,
    pub recipients: Vec<ShownRecipient>,
    /// Recipients that are too many to be shown.
    pub left_out: usize,
}

/// A recipient.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShownRecipient {
    pub to: String,
    /// `waiting`, `trying`, `held`, `ended`, or what became of it: `delivered`, `relayed`, `expanded`, `failed`.
    pub state: String,
    pub attempts: u32,
    /// When it is tried next.
    pub next_try: Option<i64>,
    /// What the last attempt came to; with `show`, all that are known, oldest first.
    pub history: Vec<ShownAttempt>,
}

/// An attempt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShownAttempt {
    pub at: i64,
    pub outcome: String,
    /// Name and address of the host; empty if nobody answered.
    pub peer: String,
    /// The reply as it came, or our reason.
    pub reply: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn questions_are_read_and_others_told_why_not() {
        let request = Request {
            version: 1,
            verb: Verb::Flush,
            select: Selection { all: true, ..Selection::default() },
            part: None,
        };
        let line = serde_json::to_vec(&request).unwrap();
        assert_eq!(Request::parse(&line), Ok(request));
        let told = |line: &str| Request::parse(line.as_bytes()).unwrap_err();
        assert!(told("{\"version\":2,\"verb\":\"eat\"}").starts_with("the server speaks version 1 of"));
        for line in [
            "",
            "[]",
            "{}",
            "{\"version\":1}",
            "{\"version\":1,\"verb\":\"eat\"}",
            "{\"version\":1,\"verb\":\"list\",\"colour\":1}",
            "{\"version\":1,\"verb\":\"list\",\"select\":{\"colour\":1}}",
            "{\"version\":-1,\"verb\":\"list\"}",
            &"[".repeat(60_000),
        ] {
            assert!(told(line).starts_with("this is no question: "), "{line}");
        }
        let many = Selection { ids: vec![String::new(); IDS_MAX + 1], ..Selection::default() };
        let line = serde_json::to_vec(&Request { version: 1, verb: Verb::List, select: many, part: None }).unwrap();
        assert_eq!(Request::parse(&line), Err("a question names at most 1000 messages".into()));
        let two = "{\"version\":1,\"verb\":\"show\",\"part\":\"header\",\"select\":{\"ids\":[\"a\",\"b\"]}}";
        assert_eq!(told(two), "content is shown of one message");
    }
}
