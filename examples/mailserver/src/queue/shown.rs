//! Messages as they are shown: from what the queue knows, and as text for people.

use std::time::Duration;

use pillarbox::mailcore::WallTime;
use pillarbox::outbound::spool::{Attempt, Message, NextTry, Outcome};

use super::protocol::{RECIPIENTS_SIZE_MAX, ShownAttempt, ShownMessage, ShownRecipient};
use crate::show::Escaped;

/// The reply of a server, or our reason.
pub fn words_of(attempt: &Attempt) -> String {
    match (attempt.code, attempt.status) {
        (Some(code), Some(status)) => format!("{code} {status} {}", attempt.text),
        (Some(code), None) => format!("{code} {}", attempt.text),
        (None, _) => attempt.text.clone(),
    }
}

const fn word(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Delivered => "delivered",
        Outcome::Relayed => "relayed",
        Outcome::Expanded => "expanded",
        Outcome::Failed => "failed",
        _ => "delayed",
    }
}

/// A message with its waiting recipients and their last attempts; with `whole`, with all of both.
pub fn shown(message: &Message, next: &[(Vec<u32>, NextTry)], whole: bool, now: i64) -> ShownMessage {
    let mut shown = ShownMessage {
        id: message.id.to_string(),
        sender: message.envelope.from.address().map(ToString::to_string).unwrap_or_default(),
        size: message.size,
        received: message.envelope.received.unix_seconds(),
        held: message.held,
        priority: message.envelope.priority,
        recipients: Vec::new(),
        left_out: 0,
    };
    let mut size = 0;
    for (at, (recipient, state)) in (0u32..).zip(message.envelope.recipients.iter().zip(&message.recipients)) {
        if state.outcome.is_some() && !whole {
            continue;
        }
        let attempt = |attempt: &Attempt| ShownAttempt {
            at: attempt.at.unix_seconds(),
            outcome: word(attempt.outcome).into(),
            peer: attempt.peer.clone(),
            reply: words_of(attempt),
        };
        let skipped = if whole { 0 } else { state.history.len().saturating_sub(1) };
        let next = next.iter().find(|(recipients, _)| recipients.contains(&at)).map(|(_, next)| *next);
        let (word, next_try) = match (state.outcome, next) {
            (Some(outcome), _) => (word(outcome), None),
            (None, _) if message.held => ("held", None),
            (None, Some(NextTry::Trying)) => ("trying", None),
            (None, Some(NextTry::Ended)) => ("ended", None),
            (None, Some(NextTry::In(wait))) => ("waiting", Some(now.saturating_add_unsigned(wait.as_secs()))),
            (None, _) => ("waiting", None),
        };
        let recipient = ShownRecipient {
            to: recipient.to.address().map_or_else(|| "postmaster".into(), ToString::to_string),
            state: word.into(),
            attempts: state.attempts,
            next_try,
            history: state.history.iter().skip(skipped).map(attempt).collect(),
        };
        size += serde_json::to_vec(&recipient).map_or(0, |line| line.len());
        match size <= RECIPIENTS_SIZE_MAX {
            true => shown.recipients.push(recipient),
            false => shown.left_out += 1,
        }
    }
    shown
}

/// A date as people read it, in UTC.
fn date(unix_seconds: i64) -> String {
    let c = WallTime::new(unix_seconds, 0).civil();
    format!("{:04}-{:02}-{:02} {:02}:{:02}:{:02}", c.year, c.month, c.day, c.hour, c.minute, c.second)
}

fn in_words(time: Duration) -> String {
    match time.as_secs() {
        seconds @ 0..120 => format!("{seconds} s"),
        seconds @ 120..7200 => format!("{} min", seconds / 60),
        seconds @ 7200..172_800 => format!("{} h", seconds / 3600),
        seconds => format!("{} d", seconds / 86_400),
    }
}

fn safe(text: &str) -> String {
    Escaped(text.as_bytes()).to_string()
}

/// The line above a list.
pub const HEADING: &str = "ID                   OCTETS  RECEIVED (UTC)       SENDER, AND BELOW IT WHO IS WAITING";

/// A message as lines for people.
pub fn as_text(message: &ShownMessage, whole: bool, now: i64) -> String {
    let is_trying = message.recipients.iter().any(|recipient| recipient.state == "trying");
    let mark = if message.held {
        '!'
    } else if is_trying {
        '*'
    } else {
        ' '
    };
    let sender = if message.sender.is_empty() { "<>".into() } else { safe(&message.sender) };
    let mut text = format!("{}{mark} {:>9}  {}  {sender}", safe(&message.id), message.size, date(message.received));
    if message.priority != 0 {
        text.push_str(&format!(", priority {}", message.priority));
    }
    for recipient in &message.recipients {
        let tried = match recipient.attempts {
            0 => "not tried yet".to_owned(),
            1 => "tried once".to_owned(),
            times => format!("tried {times} times"),
        };
        let next = match (recipient.state.as_str(), recipient.next_try) {
            ("waiting", Some(next)) if next <= now => ", next at once".to_owned(),
            ("waiting", Some(next)) => {
                format!(", next in {}", in_words(Duration::from_secs(u64::try_from(next - now).unwrap_or(0))))
            }
            ("waiting", None) => String::new(),
            (state, _) => format!(", {}", safe(state)),
        };
        text.push_str(&format!("\n    {}: {tried}{next}", safe(&recipient.to)));
        for attempt in &recipient.history {
            let peer = if attempt.peer.is_empty() { String::new() } else { format!(" by {}", safe(&attempt.peer)) };
            let date = if whole { format!("{} ", date(attempt.at)) } else { String::new() };
            text.push_str(&format!("\n        {date}{}{peer}: {}", safe(&attempt.outcome), safe(&attempt.reply)));
        }
    }
    if message.left_out > 0 {
        text.push_str(&format!("\n    and {} more recipients", message.left_out));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_wrote_stays_in_its_line() {
        let message = ShownMessage {
            id: "35afrg0001q9p4kd".into(),
            sender: String::new(),
            size: 1234,
            received: 1_700_000_000,
            held: true,
            priority: 4,
            recipients: vec![ShownRecipient {
                to: "ann@example.com".into(),
                state: "waiting".into(),
                attempts: 2,
                next_try: Some(1_700_000_600),
                history: vec![ShownAttempt {
                    at: 1_700_000_300,
                    outcome: "delayed".into(),
                    peer: "mx.example.com [192.0.2.1]".into(),
                    reply: "450 4.2.0 busy\n\u{1b}[2J".into(),
                }],
            }],
            left_out: 3,
        };
        assert_eq!(
            as_text(&message, false, 1_700_000_000),
            "35afrg0001q9p4kd!      1234  2023-11-14 22:13:20  <>, priority 4\n    \
             ann@example.com: tried 2 times, next in 10 min\n        \
             delayed by mx.example.com [192.0.2.1]: 450 4.2.0 busy\\n\\u{1b}[2J\n    \
             and 3 more recipients"
        );
    }
}
