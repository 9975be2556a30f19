//! NOTIFY in the words of dialog files.

use pillarbox_imap::metadata::EntryName;
use pillarbox_imap::notify::{Events, Filter, Notification, Watch};
use pillarbox_imap::types::MailboxName;

use super::words::{listed, quoted, status, value};

/// `Notify with numbers, subtree Lists mf, personal ns`: m, f, n, s, a and A are messages, flags, names, subscriptions,
/// annotations and the server's.
pub(crate) fn watch(watch: &Watch) -> String {
    let groups = watch.groups.iter().map(|group| {
        let names = group.filter.names().iter().map(|name| format!(" {name}")).collect::<String>();
        let filter = match &group.filter {
            Filter::Inboxes => "inboxes",
            Filter::Personal => "personal",
            Filter::Subscribed => "subscribed",
            Filter::Subtree(_) => "subtree",
            Filter::Mailboxes(_) => "mailboxes",
            other => return format!("{other:?}"),
        };
        let Events { messages, flags, names: of_names, subscriptions, annotations, server_annotations, .. } =
            group.events;
        let letters = [
            (messages, 'm'),
            (flags, 'f'),
            (of_names, 'n'),
            (subscriptions, 's'),
            (annotations, 'a'),
            (server_annotations, 'A'),
        ];
        let letters: String = letters.into_iter().filter(|(is, _)| *is).map(|(_, letter)| letter).collect();
        format!("{filter}{names} {letters}")
    });
    let parts: Vec<String> = watch.status.then(|| "with numbers".into()).into_iter().chain(groups).collect();
    if parts.is_empty() { "Notify nothing".into() } else { format!("Notify {}", parts.join(", ")) }
}

/// `numbers "a name" mf first messages=3`, `listed "a name" \HasNoChildren old=before`, `annotated "a name" /shared/comment`,
/// `server-annotated /private/comment`, `overflow`
pub(crate) fn notification(text: &str) -> Result<Notification, String> {
    let (word, rest) = text.split_once(' ').unwrap_or((text, ""));
    if word == "overflow" {
        return Ok(Notification::Overflow);
    }
    let entries = |text: &str| {
        let names = text.split_ascii_whitespace().map(EntryName::parse);
        names.collect::<Result<_, _>>().map_err(|error| error.to_string())
    };
    if word == "server-annotated" {
        return Ok(Notification::Annotated { mailbox: None, entries: entries(rest)? });
    }
    let name = |text: &str| MailboxName::new(text).map_err(|error| error.to_string());
    let (mailbox, rest) = quoted(rest)?;
    let mailbox = name(&String::from_utf8_lossy(&mailbox))?;
    match word {
        "numbers" => {
            let letters = rest.split(' ').next().unwrap_or_default();
            let mut events = Events::default();
            (events.messages, events.flags) = (letters.contains('m'), letters.contains('f'));
            let first = rest.split(' ').any(|word| word == "first");
            Ok(Notification::Numbers { mailbox, events, first, status: status(rest)? })
        }
        "annotated" => Ok(Notification::Annotated { mailbox: Some(mailbox), entries: entries(rest)? }),
        "listed" => {
            let old_name = value(rest, "old").map(name).transpose()?;
            let attributes = rest.split(" old=").next().unwrap_or_default();
            Ok(Notification::Listed { listed: listed(mailbox, attributes)?, old_name })
        }
        _ => Err(format!("no such notification: {text}")),
    }
}
