//! Commands written out again, in one form for each meaning.
#![allow(unreachable_pub, reason = "shared with the fuzz targets")]

use pillarbox_imap::acl::RightsChange;
use pillarbox_imap::message::{Section, SectionText};
use pillarbox_imap::metadata::Depth;
use pillarbox_imap::search::Query;
use pillarbox_imap::server::{FetchItem, FlagChange, SectionName, StatusItem};
use pillarbox_imap::sort::SortCriterion;
use pillarbox_imap::types::{Flag, SpecialUse};
use pillarbox_imap::wire::encode::string;
use pillarbox_imap::wire::parse::{
    AclCommand, AppendItem, Command, ListArguments, MetadataCommand, Modifier, QuotaCommand, SearchKey, SearchReturns,
    SearchSource, TaggedCommand,
};

/// The octets of a command, its CRLF included; none if its texts were in a character set that is not known, or if it is of a later
/// version.
pub fn print(read: &TaggedCommand<'_>) -> Option<Vec<u8>> {
    let mut out = format!("{} {}", read.tag, read.row.name).into_bytes();
    arguments(&read.command, &mut out)?;
    out.extend_from_slice(b"\r\n");
    Some(out)
}

fn metadata(command: &MetadataCommand<'_>, out: &mut Vec<u8>) -> Option<()> {
    match command {
        MetadataCommand::Get { mailbox, wanted, size_max } => {
            let depth = match wanted.depth {
                Depth::Zero => "0",
                Depth::One => "1",
                Depth::Infinity => "infinity",
            };
            let size_max = size_max.map(|octets| format!(" MAXSIZE {octets}")).unwrap_or_default();
            word(out, &format!("(DEPTH {depth}{size_max})"));
            text(out, mailbox);
            let names: Vec<String> = wanted.names.iter().map(|name| string_of(name.as_str().as_bytes())).collect();
            word(out, &format!("({})", names.join(" ")));
        }
        MetadataCommand::Set { mailbox, changes } => {
            text(out, mailbox);
            out.extend_from_slice(b" (");
            for (index, (name, value)) in changes.iter().enumerate() {
                out.extend_from_slice(if index > 0 { b" " } else { b"" });
                string(out, name.as_str().as_bytes());
                match value {
                    None => out.extend_from_slice(b" NIL"),
                    // Quotes hold no octets that are not text.
                    Some(octets) => {
                        out.extend_from_slice(format!(" ~{{{}}}\r\n", octets.len()).as_bytes());
                        out.extend_from_slice(octets);
                    }
                }
            }
            out.push(b')');
        }
        _ => return None,
    }
    Some(())
}

fn string_of(octets: &[u8]) -> String {
    let mut out = Vec::new();
    string(&mut out, octets);
    String::from_utf8(out).expect("names of entries are ASCII")
}

fn arguments(command: &Command<'_>, out: &mut Vec<u8>) -> Option<()> {
    match command {
        Command::Acl(acl) => match acl {
            AclCommand::Set { mailbox, identifier, change } => {
                text(out, mailbox);
                text(out, identifier.as_bytes());
                let (sign, rights) = match change {
                    RightsChange::Replace(rights) => ("", rights),
                    RightsChange::Add(rights) => ("+", rights),
                    RightsChange::Remove(rights) => ("-", rights),
                };
                text(out, format!("{sign}{rights}").as_bytes());
            }
            AclCommand::Delete { mailbox, identifier } | AclCommand::Grantable { mailbox, identifier } => {
                text(out, mailbox);
                text(out, identifier.as_bytes());
            }
            AclCommand::List(mailbox) | AclCommand::Mine(mailbox) => text(out, mailbox),
            _ => return None,
        },
        Command::Metadata(command) => metadata(command, out)?,
        Command::Quota(QuotaCommand::Root(root)) => text(out, root.as_bytes()),
        Command::Quota(QuotaCommand::Set { root, limits }) => {
            text(out, root.as_bytes());
            let limits: Vec<String> = limits.iter().map(|(name, limit)| format!("{name} {limit}")).collect();
            word(out, &format!("({})", limits.join(" ")));
        }
        Command::Quota(QuotaCommand::Roots(mailbox)) => text(out, mailbox),
        Command::Append { parts: Some((mailbox, items)) } => append(mailbox, items, out)?,
        Command::Replace { message, parts: Some((mailbox, items)), .. } => {
            word(out, &message.map_or("*".into(), |number| number.to_string()));
            append(mailbox, items, out)?;
        }
        Command::Authenticate { mechanism, initial_response } => {
            word(out, mechanism);
            if let Some(response) = initial_response {
                out.push(b' ');
                out.extend_from_slice(response.expose());
            }
        }
        Command::Comparator(choices) | Command::Language(choices) => {
            choices.iter().for_each(|choice| text(out, choice));
        }
        Command::Compress => word(out, "DEFLATE"),
        Command::Copy { set, mailbox, .. } | Command::Move { set, mailbox, .. } => {
            word(out, &set.to_string());
            text(out, mailbox);
        }
        Command::CancelUpdate(tags) => tags.iter().for_each(|tag| {
            out.push(b' ');
            pillarbox_imap::wire::encode::string(out, tag);
        }),
        Command::Create { mailbox, uses } => {
            text(out, mailbox);
            if let Some(uses) = uses {
                let uses: Vec<_> = uses.iter().map(|known| known.map_or("\\X", SpecialUse::as_str)).collect();
                word(out, &format!("(USE ({}))", uses.join(" ")));
            }
        }
        Command::Delete(mailbox) | Command::Subscribe(mailbox) | Command::Unsubscribe(mailbox) => text(out, mailbox),
        Command::Enable(names) => word(out, &names.join(" ")),
        Command::Expunge { only } => only.iter().for_each(|set| word(out, &set.to_string())),
        Command::Fetch { set, wanted, modifiers, .. } => {
            word(out, &set.to_string());
            out.extend_from_slice(b" (");
            for (index, wanted) in wanted.iter().enumerate() {
                if index > 0 {
                    out.push(b' ');
                }
                item(wanted, out)?;
            }
            out.push(b')');
            all_modifiers(modifiers, out);
        }
        Command::Id => word(out, "NIL"),
        Command::List(arguments) => list(arguments, out),
        Command::Login { user, password } => {
            text(out, user);
            text(out, password.expose());
        }
        Command::Rename { from, to } => {
            text(out, from);
            text(out, to);
        }
        Command::Search { key, returns, wanted, charset, .. } => {
            if let Some(returns) = returns {
                word(out, &format!("RETURN ({})", returned(*returns, wanted)?));
            }
            if *charset {
                word(out, "CHARSET UTF-8");
            }
            out.push(b' ');
            search_key(key.as_ref()?, out)?;
        }
        Command::Esearch { sources, key, returns, wanted, charset } => {
            if !sources.is_empty() {
                let mut all = Vec::new();
                for source in sources {
                    let (word, names) = match source {
                        SearchSource::Selected => ("SELECTED", &[][..]),
                        SearchSource::Inboxes => ("INBOXES", &[][..]),
                        SearchSource::Personal => ("PERSONAL", &[][..]),
                        SearchSource::Subscribed => ("SUBSCRIBED", &[][..]),
                        SearchSource::Subtree(names) => ("SUBTREE", &names[..]),
                        SearchSource::SubtreeOne(names) => ("SUBTREE-ONE", &names[..]),
                        SearchSource::Mailboxes(names) => ("MAILBOXES", &names[..]),
                        _ => return None,
                    };
                    all.extend_from_slice(if all.is_empty() { b"" } else { b" " });
                    all.extend_from_slice(word.as_bytes());
                    for (index, name) in names.iter().enumerate() {
                        all.extend_from_slice(if index == 0 { b" (" } else { b" " });
                        pillarbox_imap::wire::encode::string(&mut all, name);
                    }
                    all.extend_from_slice(if names.is_empty() { b"" } else { b")" });
                }
                out.extend_from_slice(b" IN (");
                out.extend_from_slice(&all);
                out.push(b')');
            }
            if let Some(returns) = returns {
                word(out, &format!("RETURN ({})", returned(*returns, wanted)?));
            }
            if *charset {
                word(out, "CHARSET UTF-8");
            }
            out.push(b' ');
            search_key(key.as_ref()?, out)?;
        }
        Command::Select { mailbox, parameters, .. } => {
            text(out, mailbox);
            all_modifiers(parameters, out);
        }
        Command::Sort { criteria, key, returns, wanted, .. } => {
            if let Some(returns) = returns {
                word(out, &format!("RETURN ({})", returned(*returns, wanted)?));
            }
            let criterion = |criterion: &SortCriterion| {
                format!("{}{}", if criterion.reverse { "REVERSE " } else { "" }, criterion.key.as_str())
            };
            let criteria: Vec<_> = criteria.iter().map(criterion).collect();
            word(out, &format!("({}) UTF-8 ", criteria.join(" ")));
            search_key(key.as_ref()?, out)?;
        }
        Command::Thread { algorithm, key, .. } => {
            word(out, &format!("{} UTF-8 ", algorithm.as_str()));
            search_key(key.as_ref()?, out)?;
        }
        Command::Status { mailbox, items } => {
            text(out, mailbox);
            word(out, &status(items)?);
        }
        Command::Store { set, modifiers, change, flags, silent, .. } => {
            word(out, &set.to_string());
            all_modifiers(modifiers, out);
            let sign = match change {
                FlagChange::Add => "+",
                FlagChange::Remove => "-",
                FlagChange::Replace => "",
            };
            word(out, &format!("{sign}FLAGS{} {flags}", if *silent { ".SILENT" } else { "" }));
        }
        _ => {}
    }
    Some(())
}

fn append(mailbox: &[u8], items: &[AppendItem<'_>], out: &mut Vec<u8>) -> Option<()> {
    text(out, mailbox);
    let mut first = true;
    for item in items {
        match item {
            AppendItem::Begin(message) => {
                word(out, &message.flags.to_string());
                if let Some(date) = message.date {
                    out.push(b' ');
                    pillarbox_imap::wire::encode::date_time(out, date);
                }
                out.extend_from_slice(b" CATENATE (");
                first = true;
            }
            AppendItem::Url(url) => {
                out.extend_from_slice(if first { b"URL" } else { b" URL" });
                text(out, url);
                first = false;
            }
            AppendItem::End => out.push(b')'),
            _ => return None,
        }
    }
    Some(())
}

fn word(out: &mut Vec<u8>, word: &str) {
    out.push(b' ');
    out.extend_from_slice(word.as_bytes());
}

fn text(out: &mut Vec<u8>, octets: &[u8]) {
    out.push(b' ');
    string(out, octets);
}

fn all_modifiers(modifiers: &[Modifier<'_>], out: &mut Vec<u8>) {
    for (index, modifier) in modifiers.iter().enumerate() {
        out.extend_from_slice(if index == 0 { b" (" } else { b" " });
        out.extend_from_slice(modifier.name.as_bytes());
        if !modifier.value.is_empty() {
            out.push(b' ');
            out.extend_from_slice(modifier.value);
        }
    }
    if !modifiers.is_empty() {
        out.push(b')');
    }
}

fn item(item: &FetchItem, out: &mut Vec<u8>) -> Option<()> {
    let (name, section, partial) = match item {
        FetchItem::Binary { section, partial, peek } => {
            (if *peek { "BINARY.PEEK" } else { "BINARY" }, Some(section), *partial)
        }
        FetchItem::BinarySize(section) => ("BINARY.SIZE", Some(section), None),
        FetchItem::Body => ("BODY", None, None),
        FetchItem::BodyStructure => ("BODYSTRUCTURE", None, None),
        FetchItem::EmailId => ("EMAILID", None, None),
        FetchItem::Envelope => ("ENVELOPE", None, None),
        FetchItem::Flags => ("FLAGS", None, None),
        FetchItem::InternalDate => ("INTERNALDATE", None, None),
        FetchItem::ModSeq => ("MODSEQ", None, None),
        FetchItem::Preview { lazy: false } => ("PREVIEW", None, None),
        FetchItem::Preview { lazy: true } => ("PREVIEW (LAZY)", None, None),
        FetchItem::Rfc822Size => ("RFC822.SIZE", None, None),
        FetchItem::SaveDate => ("SAVEDATE", None, None),
        FetchItem::Section { section, partial, peek, name: SectionName::Body } => {
            (if *peek { "BODY.PEEK" } else { "BODY" }, Some(section), *partial)
        }
        FetchItem::Section { name: SectionName::Rfc822, .. } => ("RFC822", None, None),
        FetchItem::Section { name: SectionName::Rfc822Header, .. } => ("RFC822.HEADER", None, None),
        FetchItem::Section { name: SectionName::Rfc822Text, .. } => ("RFC822.TEXT", None, None),
        FetchItem::ThreadId => ("THREADID", None, None),
        FetchItem::Uid => ("UID", None, None),
        _ => return None,
    };
    out.extend_from_slice(name.as_bytes());
    if let Some(section) = section {
        out.push(b'[');
        section_text(section, out)?;
        out.push(b']');
    }
    if let Some((origin, count)) = partial {
        out.extend_from_slice(format!("<{origin}.{count}>").as_bytes());
    }
    Some(())
}

fn section_text(section: &Section, out: &mut Vec<u8>) -> Option<()> {
    let path: Vec<_> = section.path.iter().map(u32::to_string).collect();
    out.extend_from_slice(path.join(".").as_bytes());
    if !path.is_empty() && section.text != SectionText::Full {
        out.push(b'.');
    }
    let fields = |names: &[String], name: &str, out: &mut Vec<u8>| {
        out.extend_from_slice(name.as_bytes());
        for (index, name) in names.iter().enumerate() {
            out.push(if index == 0 { b'(' } else { b' ' });
            string(out, name.as_bytes());
        }
        out.push(b')');
    };
    match &section.text {
        SectionText::Full => {}
        SectionText::Header => out.extend_from_slice(b"HEADER"),
        SectionText::HeaderFields { names, not: false } => fields(names, "HEADER.FIELDS ", out),
        SectionText::HeaderFields { names, not: true } => fields(names, "HEADER.FIELDS.NOT ", out),
        SectionText::Text => out.extend_from_slice(b"TEXT"),
        SectionText::Mime => out.extend_from_slice(b"MIME"),
        _ => return None,
    }
    Some(())
}

fn list(list: &ListArguments<'_>, out: &mut Vec<u8>) {
    let chosen = |options: &[(bool, &str)]| {
        let options: Vec<_> = options.iter().filter(|(chosen, _)| *chosen).map(|(_, name)| *name).collect();
        options.join(" ")
    };
    if list.extended {
        let selection = chosen(&[
            (list.select_subscribed, "SUBSCRIBED"),
            (list.select_special_use, "SPECIAL-USE"),
            (list.select_recursive, "RECURSIVEMATCH"),
        ]);
        word(out, &format!("({selection})"));
    }
    text(out, &list.reference);
    out.push(b' ');
    for (index, pattern) in list.patterns.iter().enumerate() {
        match index {
            0 if list.extended => out.push(b'('),
            0 => {}
            _ => out.push(b' '),
        }
        string(out, pattern);
    }
    if list.extended {
        out.push(b')');
        let status = status(&list.return_status).filter(|_| !list.return_status.is_empty());
        let status = status.map(|items| format!("STATUS {items}"));
        let names: Vec<_> = list
            .return_metadata
            .iter()
            .map(|name| format!("\"{}\"", name.as_str().replace('\\', "\\\\").replace('"', "\\\"")))
            .collect();
        let metadata = format!("METADATA ({})", names.join(" "));
        let returned = chosen(&[
            (list.return_subscribed, "SUBSCRIBED"),
            (list.return_special_use, "SPECIAL-USE"),
            (status.is_some(), status.as_deref().unwrap_or_default()),
            (list.return_my_rights, "MYRIGHTS"),
            (!list.return_metadata.is_empty(), &metadata),
        ]);
        word(out, &format!("RETURN ({returned})"));
    }
}

fn status(items: &[StatusItem]) -> Option<String> {
    let names = items.iter().map(|item| {
        Some(match item {
            StatusItem::AppendLimit => "APPENDLIMIT",
            StatusItem::Deleted => "DELETED",
            StatusItem::DeletedStorage => "DELETED-STORAGE",
            StatusItem::HighestModSeq => "HIGHESTMODSEQ",
            StatusItem::MailboxId => "MAILBOXID",
            StatusItem::Messages => "MESSAGES",
            StatusItem::Recent => "RECENT",
            StatusItem::Size => "SIZE",
            StatusItem::UidNext => "UIDNEXT",
            StatusItem::UidValidity => "UIDVALIDITY",
            StatusItem::Unseen => "UNSEEN",
            _ => return None,
        })
    });
    names.collect::<Option<Vec<_>>>().map(|names| format!("({})", names.join(" ")))
}

fn returned(returns: SearchReturns, wanted: &[FetchItem]) -> Option<String> {
    let all = [
        (returns.min, "MIN"),
        (returns.max, "MAX"),
        (returns.all, "ALL"),
        (returns.count, "COUNT"),
        (returns.save, "SAVE"),
        (returns.update, "UPDATE"),
        (returns.context, "CONTEXT"),
    ];
    let mut all: Vec<_> = all.iter().filter(|(asked, _)| *asked).map(|(_, name)| (*name).to_owned()).collect();
    all.extend(returns.partial.map(|range| format!("PARTIAL {range}")));
    if returns.update && !wanted.is_empty() {
        let mut items = Vec::new();
        for (index, wanted) in wanted.iter().enumerate() {
            items.extend((index > 0).then_some(b' '));
            item(wanted, &mut items)?;
        }
        let items = String::from_utf8(items).ok()?;
        all.iter_mut().filter(|name| *name == "UPDATE").for_each(|name| *name = format!("UPDATE ({items})"));
    }
    Some(all.join(" "))
}

fn search_key(key: &SearchKey, out: &mut Vec<u8>) -> Option<()> {
    match key {
        SearchKey::Query(query) => leaf(query, out),
        SearchKey::Seqs(set) => {
            out.extend_from_slice(set.to_string().as_bytes());
            Some(())
        }
        SearchKey::Uids(set) => {
            out.extend_from_slice(format!("UID {set}").as_bytes());
            Some(())
        }
        SearchKey::And(keys) => {
            for (index, key) in keys.iter().enumerate() {
                out.push(if index == 0 { b'(' } else { b' ' });
                search_key(key, out)?;
            }
            out.push(b')');
            Some(())
        }
        SearchKey::Or(one, other) => {
            out.extend_from_slice(b"OR ");
            search_key(one, out)?;
            out.push(b' ');
            search_key(other, out)
        }
        SearchKey::Not(key) => {
            out.extend_from_slice(b"NOT ");
            search_key(key, out)
        }
        _ => None,
    }
}

fn leaf(query: &Query, out: &mut Vec<u8>) -> Option<()> {
    let mut with_text = |name: &str, value: &str| {
        out.extend_from_slice(name.as_bytes());
        text(out, value.as_bytes());
    };
    match query {
        Query::Header { name, text: value } => {
            with_text("HEADER", name);
            text(out, value.as_bytes());
        }
        Query::Body(value) => with_text("BODY", value),
        Query::Text(value) => with_text("TEXT", value),
        Query::Flag(Flag::Keyword(keyword)) => out.extend_from_slice(format!("KEYWORD {keyword}").as_bytes()),
        Query::Flag(flag) => out.extend_from_slice(flag.as_str()[1..].to_ascii_uppercase().as_bytes()),
        plain => {
            let plain = match plain {
                Query::All => "ALL".into(),
                Query::Before(date) => format!("BEFORE {date}"),
                Query::On(date) => format!("ON {date}"),
                Query::Since(date) => format!("SINCE {date}"),
                Query::SentBefore(date) => format!("SENTBEFORE {date}"),
                Query::SentOn(date) => format!("SENTON {date}"),
                Query::SentSince(date) => format!("SENTSINCE {date}"),
                Query::Larger(size) => format!("LARGER {size}"),
                Query::Smaller(size) => format!("SMALLER {size}"),
                Query::Older(seconds) => format!("OLDER {seconds}"),
                Query::Younger(seconds) => format!("YOUNGER {seconds}"),
                Query::EmailId(id) => format!("EMAILID {id}"),
                Query::ModSeq(least) => format!("MODSEQ {least}"),
                Query::SavedBefore(date) => format!("SAVEDBEFORE {date}"),
                Query::SavedOn(date) => format!("SAVEDON {date}"),
                Query::SavedSince(date) => format!("SAVEDSINCE {date}"),
                Query::SaveDateSupported => "SAVEDATESUPPORTED".into(),
                Query::ThreadId(id) => format!("THREADID {id}"),
                _ => return None,
            };
            out.extend_from_slice(plain.as_bytes());
        }
    }
    Some(())
}
