//! What the lines of a conversation are for, in a few words, for somebody who sees them for the first time.

use pillarbox::parts::Direction;

/// What a line is for, if there is anything to say about it.
pub fn note(imap: bool, direction: Direction, line: &[u8]) -> Option<&'static str> {
    let text = std::str::from_utf8(line).ok()?;
    if text.starts_with('<') && text.ends_with(" octets>") {
        return Some("counted, not shown");
    }
    match (imap, direction) {
        (false, Direction::Received) => find(&SMTP_COMMANDS, text.split([' ', ':']).next()?),
        (false, Direction::Sent) => smtp_reply(text),
        (true, Direction::Received) => imap_command(text),
        (true, Direction::Sent) => imap_response(text),
    }
}

fn find(notes: &[(&str, &'static str)], word: &str) -> Option<&'static str> {
    notes.iter().find(|(known, _)| known.eq_ignore_ascii_case(word)).map(|(_, note)| *note)
}

/// A line of the list that answers EHLO, or a reply that asks for more.
fn smtp_reply(text: &str) -> Option<&'static str> {
    if text.starts_with("334") {
        return Some("the next step of the login, please");
    }
    let extension = text.strip_prefix("250-").or_else(|| text.strip_prefix("250 "))?;
    find(&SMTP_EXTENSIONS, extension.split(' ').next()?)
}

fn imap_command(text: &str) -> Option<&'static str> {
    let mut words = text.split(' ');
    // What a client sends in answer to "+" has no tag.
    let (tag, command) = (words.next()?, words.next());
    let Some(command) = command else { return find(&IMAP_COMMANDS, tag) };
    match command.eq_ignore_ascii_case("UID") {
        true => find(&IMAP_UID_COMMANDS, words.next()?),
        false => find(&IMAP_COMMANDS, command),
    }
}

fn imap_response(text: &str) -> Option<&'static str> {
    if text.starts_with('+') {
        return Some("go on");
    }
    let rest = text.strip_prefix("* ")?;
    // "* OK [UIDNEXT 3] ..." or "* 3 EXISTS"
    match rest.strip_prefix("OK [") {
        Some(code) => find(&IMAP_CODES, code.split([' ', ']']).next()?),
        None => find(&IMAP_DATA, rest.split(' ').find(|word| !word.starts_with(|c: char| c.is_ascii_digit()))?),
    }
}

const SMTP_COMMANDS: [(&str, &str); 13] = [
    ("EHLO", "who the client is; what can you do?"),
    ("HELO", "who the client is, the old way"),
    ("LHLO", "who the client is, in LMTP; what can you do?"),
    ("STARTTLS", "from here on encrypted"),
    ("AUTH", "log in"),
    ("MAIL", "a message begins; if it fails, tell this address"),
    ("RCPT", "one more recipient"),
    ("DATA", "the message follows"),
    ("RSET", "forget the message"),
    ("NOOP", "are you there?"),
    ("VRFY", "is there such a mailbox?"),
    ("HELP", "what commands are there?"),
    ("QUIT", "goodbye"),
];

const SMTP_EXTENSIONS: [(&str, &str); 11] = [
    ("PIPELINING", "commands may be sent without waiting"),
    ("SIZE", "the largest message, in octets"),
    ("8BITMIME", "text need not be ASCII"),
    ("SMTPUTF8", "nor need addresses"),
    ("BINARYMIME", "nor need lines be short"),
    ("CHUNKING", "messages may come in chunks"),
    ("DSN", "notices of delivery can be asked for"),
    ("ENHANCEDSTATUSCODES", "replies hold codes such as 5.1.1"),
    ("STARTTLS", "the connection can be encrypted"),
    ("AUTH", "ways to log in"),
    ("HELP", "there is help"),
];

const IMAP_COMMANDS: [(&str, &str); 31] = [
    ("CAPABILITY", "what can you do?"),
    ("ID", "which program are you?"),
    ("STARTTLS", "from here on encrypted"),
    ("LOGIN", "log in"),
    ("AUTHENTICATE", "log in"),
    ("ENABLE", "let us use this extension"),
    ("NAMESPACE", "where do mailboxes begin?"),
    ("LIST", "which mailboxes are there?"),
    ("LSUB", "which mailboxes are subscribed?"),
    ("STATUS", "how many messages are in a mailbox?"),
    ("SELECT", "open a mailbox"),
    ("EXAMINE", "open a mailbox for reading only"),
    ("CREATE", "make a mailbox"),
    ("DELETE", "remove a mailbox"),
    ("RENAME", "give a mailbox another name"),
    ("SUBSCRIBE", "remember a mailbox"),
    ("UNSUBSCRIBE", "forget a mailbox"),
    ("APPEND", "put a message into a mailbox"),
    ("SEARCH", "which messages are like this?"),
    ("FETCH", "show me this of these messages"),
    ("STORE", "change flags"),
    ("COPY", "copy messages to another mailbox"),
    ("MOVE", "move messages to another mailbox"),
    ("EXPUNGE", "remove the deleted messages"),
    ("CHECK", "write everything down"),
    ("NOOP", "anything new?"),
    ("IDLE", "tell me of news at once"),
    ("DONE", "enough waiting"),
    ("UNSELECT", "leave the mailbox as it is"),
    ("CLOSE", "leave the mailbox; deleted messages go"),
    ("LOGOUT", "goodbye"),
];

const IMAP_UID_COMMANDS: [(&str, &str); 6] = [
    ("SEARCH", "which messages are like this? (by lasting numbers)"),
    ("FETCH", "show me this of these messages (by lasting numbers)"),
    ("STORE", "change flags (by lasting numbers)"),
    ("COPY", "copy messages to another mailbox (by lasting numbers)"),
    ("MOVE", "move messages to another mailbox (by lasting numbers)"),
    ("EXPUNGE", "remove the deleted ones of these (by lasting numbers)"),
];

const IMAP_CODES: [(&str, &str); 7] = [
    ("CAPABILITY", "what the server can do"),
    ("CLOSED", "from here on it is about the other mailbox"),
    ("COPYUID", "these messages became those"),
    ("PERMANENTFLAGS", "flags that can be set for good; \\* means new ones too"),
    ("UNSEEN", "the first message that nobody has read"),
    ("UIDVALIDITY", "lasting numbers last as long as this does"),
    ("UIDNEXT", "the lasting number that comes next"),
];

const IMAP_DATA: [(&str, &str); 11] = [
    ("CAPABILITY", "what the server can do"),
    ("LIST", "a mailbox"),
    ("FLAGS", "flags in use here"),
    ("EXISTS", "messages in the mailbox"),
    ("RECENT", "that nobody else has been told of"),
    ("SEARCH", "the messages found"),
    ("ESEARCH", "what was found"),
    ("ENABLED", "what is used from here on"),
    ("STATUS", "how it stands with a mailbox"),
    ("EXPUNGE", "this message is gone; those behind it move up"),
    ("BYE", "the server closes"),
];

#[cfg(test)]
mod tests {
    use super::*;

    const IN: Direction = Direction::Received;
    const OUT: Direction = Direction::Sent;

    #[test]
    fn lines_are_explained() {
        assert_eq!(note(false, IN, b"rcpt to:<a@b.example>"), Some("one more recipient"));
        assert_eq!(note(false, IN, b"Subject: hello"), None);
        assert_eq!(note(false, OUT, b"250-SIZE 1000"), Some("the largest message, in octets"));
        assert_eq!(note(false, OUT, b"250 2.1.0 fine"), None);
        assert_eq!(note(true, IN, b"SELECT NOOP"), Some("anything new?"));
        assert_eq!(note(true, IN, b"DONE"), Some("enough waiting"));
        assert_eq!(note(true, IN, b"a1 uid fetch 1 ALL"), Some("show me this of these messages (by lasting numbers)"));
        assert_eq!(note(true, OUT, b"* OK [UIDNEXT 3] Predicted next UID"), Some("the lasting number that comes next"));
        assert_eq!(note(true, OUT, b"* 3 EXISTS"), Some("messages in the mailbox"));
        assert_eq!(note(true, OUT, b"a1 OK done"), None);
    }

    #[test]
    fn any_octets_will_do() {
        for line in [&b""[..], b" ", b"*", b"* ", b"* OK [", b"* 1", b"25", b"250", b"250-", b"\xff\xff\xff"] {
            for (imap, direction) in [(false, IN), (false, OUT), (true, IN), (true, OUT)] {
                assert!(note(imap, direction, line).is_none_or(|note| !note.is_empty()));
            }
        }
    }
}
