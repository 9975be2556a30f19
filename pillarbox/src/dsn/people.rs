//! The part for people.

use std::fmt::Write as _;

use super::{Action, Notice, RecipientReport};

/// Lines of a server's reply that are shown.
const LINES_MAX: usize = 10;
/// Characters of each.
const LINE_MAX: usize = 300;

pub(super) fn subject(notice: &Notice<'_>) -> &'static str {
    let all = |action| notice.recipients.iter().all(|recipient| recipient.action == action);
    if notice.any(Action::Failed) {
        "Your message could not be delivered"
    } else if all(Action::Delayed) {
        "Your message is late"
    } else if all(Action::Delivered) {
        "Your message was delivered"
    } else {
        "What became of your message"
    }
}

/// The text, with LF line ends.
pub(super) fn text(notice: &Notice<'_>) -> String {
    let mut text = format!("This is the mail system of {}.\n", line(notice.reporting_mta));
    if let Some(arrival) = notice.arrival {
        let _ = writeln!(text, "Your message came here on {arrival}.");
    }
    for (action, heading) in [
        (Action::Failed, "It could not be delivered to these recipients, and will not be tried again:"),
        (Action::Delayed, "It has not been delivered to these recipients yet. You need not send it again:"),
        (Action::Delivered, "It was delivered to these recipients:"),
        (Action::Relayed, "It was handed on for these recipients, to servers that will not say what becomes of it:"),
        (Action::Expanded, "It was sent on to the members of these lists:"),
    ] {
        let mut some = notice.recipients.iter().filter(|recipient| recipient.action == action).peekable();
        if some.peek().is_some() {
            let _ = write!(text, "\n{heading}\n");
        }
        some.for_each(|recipient| about(&mut text, recipient));
    }
    text.push_str("\nDetails for your mail program, and the message or its header, are attached.\n");
    text
}

fn about(text: &mut String, recipient: &RecipientReport<'_>) {
    let _ = write!(text, "\n  <{}>\n", line(&recipient.address.to_string()));
    if let Some(original) = recipient.original.filter(|original| original.address() != recipient.address.to_string()) {
        let _ = writeln!(text, "    (you wrote to {})", line(original.address()));
    }
    if let Some(words) = recipient.diagnostic {
        if let Some(server) = recipient.remote_mta {
            let _ = writeln!(text, "    the server {} said:", line(server));
        }
        let mut lines = words.lines();
        for words in lines.by_ref().take(LINES_MAX) {
            let _ = writeln!(text, "    {}", line(words));
        }
        if lines.next().is_some() {
            text.push_str("    ...\n");
        }
    }
    if let Some(until) = recipient.will_retry_until {
        let _ = writeln!(text, "    It will be tried until {until}.");
    }
}

/// What others wrote, fit for one line.
fn line(text: &str) -> String {
    let mut out: String =
        text.chars().take(LINE_MAX).map(|character| if character.is_control() { '?' } else { character }).collect();
    if text.chars().nth(LINE_MAX).is_some() {
        out.push_str("...");
    }
    out
}
