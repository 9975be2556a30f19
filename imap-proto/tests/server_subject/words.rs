//! How values read in a dialog file.

use pillarbox_imap::acl::{AclEntry, AclQuestion, Grantable, Rights, RightsChange};
use pillarbox_imap::list::{List, SearchScope};
use pillarbox_imap::metadata::{Depth, EntryName, MetadataQuestion};
use pillarbox_imap::quota::{QuotaRoot, Resource, ResourceUse};
use pillarbox_imap::search::Query;
use pillarbox_imap::server::{
    Answer, AppendPart, Change, Extensions, FetchItem, Listed, SectionName, Snapshot, Status,
};
use pillarbox_imap::sort::SortCriterion;
use pillarbox_imap::thread::ThreadPart;
use pillarbox_imap::types::{Flag, Flags, MailboxName, ModSeq, ObjectId, ResponseCode, Uid, UidSet, UidValidity};

/// The switch of an extension, by its capability.
pub(crate) fn extension<'e>(extensions: &'e mut Extensions, name: &str) -> Result<&'e mut bool, String> {
    Ok(match name {
        "ACL" => &mut extensions.acl,
        "BINARY" => &mut extensions.binary,
        "CATENATE" => &mut extensions.catenate,
        "CHILDREN" => &mut extensions.children,
        "COMPRESS" => &mut extensions.compress,
        "CONDSTORE" => &mut extensions.condstore,
        "CONTEXT" => &mut extensions.context,
        "CREATE-SPECIAL-USE" => &mut extensions.create_special_use,
        "IMAP4rev2" => &mut extensions.rev2,
        "I18NLEVEL=2" => &mut extensions.i18n,
        "LANGUAGE" => &mut extensions.language,
        "INPROGRESS" => &mut extensions.in_progress,
        "LIST-EXTENDED" => &mut extensions.list_extended,
        "LITERAL+" => &mut extensions.literal_plus,
        "METADATA" => &mut extensions.metadata,
        "METADATA-SERVER" => &mut extensions.metadata_server,
        "MOVE" => &mut extensions.moves,
        "MULTIAPPEND" => &mut extensions.multiappend,
        "MULTISEARCH" => &mut extensions.multisearch,
        "PARTIAL" => &mut extensions.partial,
        "OBJECTID" => &mut extensions.object_id,
        "NOTIFY" => &mut extensions.notify,
        "PREVIEW" => &mut extensions.preview,
        "QUOTA" => &mut extensions.quota,
        "QUOTASET" => &mut extensions.quota_set,
        "QRESYNC" => &mut extensions.qresync,
        "REPLACE" => &mut extensions.replace,
        "SAVEDATE" => &mut extensions.save_date,
        "SORT" => &mut extensions.sort,
        "SPECIAL-USE" => &mut extensions.special_use,
        "STATUS=SIZE" => &mut extensions.status_size,
        "THREAD" => &mut extensions.thread,
        "UIDONLY" => &mut extensions.uid_only,
        "UNAUTHENTICATE" => &mut extensions.unauthenticate,
        "UTF8" => &mut extensions.utf8,
        _ => return Err(format!("{name} is no extension that can be switched")),
    })
}

/// `reverse date`
pub(crate) fn criterion(criterion: &SortCriterion) -> String {
    format!("{}{}", if criterion.reverse { "reverse " } else { "" }, criterion.key.as_str().to_lowercase())
}

/// `(1 2 (3)(4))(5)`, or a piece of that
pub(crate) fn threads(text: &str) -> Result<Vec<ThreadPart>, String> {
    let spaced = text.replace('(', " ( ").replace(')', " ) ");
    let part = |word| match word {
        "(" => Ok(ThreadPart::Open),
        ")" => Ok(ThreadPart::Close),
        number => uid(number).map(ThreadPart::Message),
    };
    spaced.split_whitespace().map(part).collect()
}

/// LIST and LSUB: options, patterns, and what is to be told.
pub(crate) fn list(list: &List) -> String {
    let on = |options: &[(bool, &'static str)]| {
        options.iter().filter(|(on, _)| *on).map(|(_, name)| *name).collect::<Vec<_>>().join(" ")
    };
    let selection =
        on(&[(list.subscribed, "subscribed"), (list.recursive, "recursive"), (list.special_use, "special-use")]);
    let mut text = format!("{} ", if list.lsub { "Lsub" } else { "List" });
    if !selection.is_empty() {
        text += &format!("({selection}) ");
    }
    text += &list.patterns.join(" ");
    if list.tell_subscribed {
        text += " telling subscribed";
    }
    if !list.status.is_empty() {
        text += &format!(" with {:?}", list.status);
    }
    if list.my_rights {
        text += " with my rights";
    }
    if !list.metadata.names.is_empty() {
        let names: Vec<_> = list.metadata.names.iter().map(EntryName::as_str).collect();
        text += &format!(" with {}", names.join(" "));
    }
    text
}

/// `\HasChildren + messages=3 rights=lr entries`; `only` for what is told for what lies below it alone
pub(crate) fn listed(name: MailboxName, text: &str) -> Result<Listed, String> {
    let attributes = text.split_whitespace().filter(|word| word.starts_with('\\'));
    let mut listed = Listed::new(name, attributes.map(|word| word.to_string().into()).collect());
    listed.subscribed_below = text.split_whitespace().any(|word| word == "+");
    listed.rights = value(text, "rights").map(rights).transpose()?;
    listed.matches_itself = text.split_whitespace().all(|word| word != "only");
    listed.has_metadata = text.split_whitespace().any(|word| word == "entries");
    let has_numbers = text.split_whitespace().any(|word| word.contains('=') && !word.starts_with("rights="));
    listed.status = has_numbers.then(|| status(text)).transpose()?;
    Ok(listed)
}

/// `messages=3 unseen=1`
pub(crate) fn status(text: &str) -> Result<Status, String> {
    let mut status =
        Status::new(uid_validity(value(text, "validity").unwrap_or("1"))?, uid(value(text, "next").unwrap_or("4"))?);
    let number = |key| value(text, key).map_or(Ok(0), str::parse).map_err(|_| format!("{text}: no number"));
    (status.messages, status.recent, status.unseen) = (number("messages")?, number("recent")?, number("unseen")?);
    status.deleted = number("deleted")?;
    status.deleted_storage = u64::from(number("deleted-storage")?);
    status.highest_mod_seq = mod_seq(text)?;
    status.mailbox_id = value(text, "mailboxid").map(object_id).transpose()?;
    status.size = value(text, "size").map_or(Ok(0), str::parse).map_err(|_| format!("{text}: no number"))?;
    Ok(status)
}

pub(crate) fn uid(text: &str) -> Result<Uid, String> {
    text.parse().ok().and_then(Uid::new).ok_or(format!("{text} is no UID"))
}

pub(crate) fn uid_validity(text: &str) -> Result<UidValidity, String> {
    text.parse().ok().and_then(UidValidity::new).ok_or(format!("{text} is no UIDVALIDITY"))
}

/// `1,2,5`
pub(crate) fn uids(text: &str) -> Result<Vec<Uid>, String> {
    text.split(',').filter(|number| !number.is_empty()).map(uid).collect()
}

/// `\Seen $x`, with `modseq=5` among them
pub(crate) fn flags(text: &str) -> Result<Flags, String> {
    let words = text.split_whitespace().filter(|word| !word.starts_with("modseq="));
    words.map(|word| Flag::parse(word).ok_or(format!("{word} is no flag"))).collect()
}

/// `modseq=5` among other words, if it is there.
pub(crate) fn mod_seq(text: &str) -> Result<Option<ModSeq>, String> {
    let number = |number: &str| number.parse().ok().and_then(ModSeq::new).ok_or(format!("{number} is no mod-sequence"));
    value(text, "modseq").map(number).transpose()
}

pub(crate) fn object_id(text: &str) -> Result<ObjectId, String> {
    ObjectId::new(text).ok_or(format!("{text} is no identifier"))
}

/// `1@5,2@7`
pub(crate) fn uids_with_mod_seqs(text: &str) -> Result<Vec<(Uid, ModSeq)>, String> {
    let one = |pair: &str| {
        let (number, at) = pair.split_once('@').ok_or(format!("{pair}: <uid>@<modseq>"))?;
        Ok((uid(number)?, mod_seq(&format!("modseq={at}"))?.ok_or("a mod-sequence")?))
    };
    text.split(',').map(one).collect()
}

/// `1:3,7`
pub(crate) fn uid_set(text: &str) -> Result<UidSet, String> {
    let range = |range: &str| {
        let (first, last) = range.split_once(':').unwrap_or((range, range));
        Ok(uid(first)?..=uid(last)?)
    };
    text.split(',').filter(|range| !range.is_empty()).map(range).collect()
}

/// `keywords $a $b fixed`, `rights lrs`, `gone`, or `added 4,5`, `flags 3 \Seen`, `removed 1,2`, each of these three with `modseq=9` if there are mod-sequences.
pub(crate) fn news(text: &str) -> Result<Change, String> {
    let (word, rest) = text.split_once(' ').unwrap_or((text, ""));
    let (number, flag_list) = rest.split_once(' ').unwrap_or((rest, ""));
    let mod_seq = mod_seq(flag_list)?;
    Ok(match word {
        "added" => Change::Added { uids: uids(number)?, mod_seq },
        "removed" => Change::Removed { uids: uids(number)?.into_iter().collect(), mod_seq },
        "flags" => Change::Flags { uid: uid(number)?, flags: flags(flag_list)?, mod_seq },
        "keywords" => {
            let words: Vec<&str> = rest.split_whitespace().collect();
            let keywords = words.iter().filter(|word| **word != "fixed");
            let keywords = keywords.map(|word| Flag::parse(word).ok_or(format!("{word} is no flag")));
            Change::Keywords { keywords: keywords.collect::<Result<_, _>>()?, can_be_made: !words.contains(&"fixed") }
        }
        "rights" => Change::Rights(rights(rest)?),
        "gone" => Change::Gone,
        _ => return Err(format!("no such news: {text}")),
    })
}

/// `[CODE] text`, with the text in quotes where it holds what a line cannot.
pub(crate) fn no(text: &str) -> Result<Answer<'_>, String> {
    let (code, text) = match text.strip_prefix('[').and_then(|text| text.split_once("] ")) {
        None => (None, text),
        Some((code, text)) => (Some(code), text),
    };
    let code = match code {
        None => None,
        Some("EXPUNGEISSUED") => Some(ResponseCode::ExpungeIssued),
        Some("TRYCREATE") => Some(ResponseCode::TryCreate),
        Some("NOPERM") => Some(ResponseCode::NoPerm),
        Some("METADATA TOOMANY") => Some(ResponseCode::MetadataTooMany),
        Some("METADATA NOPRIVATE") => Some(ResponseCode::MetadataNoPrivate),
        Some("OVERQUOTA") => Some(ResponseCode::OverQuota),
        Some(other) => Some(ResponseCode::other(other.to_string()).ok_or(format!("{other} is no code"))?),
    };
    let text = match text.strip_prefix('"') {
        Some(_) => String::from_utf8_lossy(&quoted(text)?.0).into_owned().into(),
        None => text.into(),
    };
    Ok(Answer::No { code, text })
}

/// A part that CATENATE wants.
pub(crate) fn append_part(part: &AppendPart) -> String {
    let mailbox = part.mailbox.as_ref().map_or("selected".into(), |mailbox| mailbox.to_string());
    let validity = part.uid_validity.map(|validity| format!(" of {validity}")).unwrap_or_default();
    let partial = match part.partial {
        None => String::new(),
        Some((origin, None)) => format!(" from {origin}"),
        Some((origin, Some(count))) => format!(" from {origin} {count}"),
    };
    format!("AppendPart {mailbox}{validity} {} [{}]{partial} max={}", part.uid, part.section, part.size_max)
}

/// The value of `key=value` among words.
pub(crate) fn value<'t>(text: &'t str, key: &str) -> Option<&'t str> {
    text.split_whitespace().find_map(|word| word.strip_prefix(key)?.strip_prefix('='))
}

pub(crate) fn snapshot(text: &str) -> Result<Snapshot, String> {
    let validity = uid_validity(value(text, "validity").unwrap_or("1"))?;
    let mut snapshot = Snapshot::new(validity, uid(value(text, "next").unwrap_or("1"))?);
    snapshot.uids = uids(value(text, "uids").unwrap_or_default())?;
    snapshot.first_unseen = value(text, "unseen").map(uid).transpose()?;
    snapshot.recent = value(text, "recent").unwrap_or("0").parse().map_err(|_| "recent=<number>")?;
    for keyword in value(text, "keywords").unwrap_or_default().split(',').filter(|word| !word.is_empty()) {
        snapshot.keywords.push(Flag::parse(keyword).ok_or(format!("{keyword} is no flag"))?);
    }
    snapshot.keywords_can_be_made = !text.split_whitespace().any(|word| word == "fixed");
    snapshot.read_only = text.split_whitespace().any(|word| word == "readonly");
    snapshot.highest_mod_seq = mod_seq(text)?;
    snapshot.mailbox_id = value(text, "mailboxid").map(object_id).transpose()?;
    snapshot.rights = value(text, "rights").map(rights).transpose()?;
    Ok(snapshot)
}

/// A text in double quotes with the escapes of Rust, or a word; and what follows.
pub(crate) fn quoted(text: &str) -> Result<(Vec<u8>, &str), String> {
    let Some(inner) = text.strip_prefix('"') else {
        let (word, rest) = text.split_once(' ').unwrap_or((text, ""));
        return Ok((word.as_bytes().to_vec(), rest));
    };
    let mut octets = Vec::new();
    let mut chars = inner.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Ok((octets, inner[at + 1..].trim_start())),
            '\\' => match chars.next().map(|(_, c)| c) {
                Some('r') => octets.push(b'\r'),
                Some('n') => octets.push(b'\n'),
                Some('0') => octets.push(0),
                Some(c @ ('"' | '\\')) => octets.push(c as u8),
                _ => return Err(format!("{text}: an escape that is not known")),
            },
            c => octets.extend(c.to_string().bytes()),
        }
    }
    Err(format!("{text}: no end of the quotes"))
}

/// A FETCH item, as it was asked for.
pub(crate) fn item(item: &FetchItem) -> String {
    match item {
        FetchItem::Section { section, partial, peek, name } => {
            let partial = partial.map(|(origin, len)| format!("<{origin}.{len}>")).unwrap_or_default();
            let peek = if *peek { ".PEEK" } else { "" };
            match name {
                SectionName::Body => format!("BODY{peek}[{section}]{partial}"),
                other => format!("{other:?}"),
            }
        }
        FetchItem::Binary { section, partial, peek } => {
            let partial = partial.map(|(origin, len)| format!("<{origin}.{len}>")).unwrap_or_default();
            format!("BINARY{}[{section}]{partial}", if *peek { ".PEEK" } else { "" })
        }
        FetchItem::BinarySize(section) => format!("BINARY.SIZE[{section}]"),
        other => format!("{other:?}"),
    }
}

pub(crate) fn rights(letters: &str) -> Result<Rights, String> {
    Rights::parse(letters).ok_or(format!("{letters} are no rights"))
}

/// `ann:lrs -bob:w`
pub(crate) fn acl(text: &str) -> Result<Vec<AclEntry>, String> {
    let entry = |pair: &str| {
        let (identifier, letters) = pair.rsplit_once(':').ok_or(format!("{pair}: <identifier>:<rights>"))?;
        Ok(AclEntry { identifier: identifier.into(), rights: rights(letters)? })
    };
    text.split_whitespace().map(entry).collect()
}

/// `la r sw`: what is there in any case (`-`: nothing), and what can be granted.
pub(crate) fn grantable(text: &str) -> Result<Grantable, String> {
    let mut sets = text.split(' ').map(|letters| rights(letters.trim_matches('-')));
    let required = sets.next().transpose()?.unwrap_or_default();
    Ok(Grantable { required, optional: sets.collect::<Result<_, _>>()? })
}

/// A question about rights.
pub(crate) fn acl_question(question: &AclQuestion) -> String {
    match question {
        AclQuestion::Set { mailbox, identifier, change } => {
            let change = match change {
                RightsChange::Replace(rights) => format!("{rights}"),
                RightsChange::Add(rights) => format!("+{rights}"),
                RightsChange::Remove(rights) => format!("-{rights}"),
            };
            format!("SetAcl {mailbox} {identifier} {change}").trim_end().into()
        }
        AclQuestion::Delete { mailbox, identifier } => format!("DeleteAcl {mailbox} {identifier}"),
        AclQuestion::List(mailbox) => format!("GetAcl {mailbox}"),
        AclQuestion::Grantable { mailbox, identifier } => format!("ListRights {mailbox} {identifier}"),
        AclQuestion::Mine(mailbox) => format!("MyRights {mailbox}"),
        other => format!("{other:?}"),
    }
}

/// A question about annotations.
pub(crate) fn metadata_question(question: &MetadataQuestion) -> String {
    let of = |mailbox: &Option<MailboxName>| mailbox.as_ref().map_or("server".into(), |mailbox| mailbox.to_string());
    match question {
        MetadataQuestion::Get { mailbox, wanted } => {
            let names: Vec<&str> = wanted.names.iter().map(|name| name.as_str()).collect();
            let below = match wanted.depth {
                Depth::Zero => "",
                Depth::One => " and one level below",
                Depth::Infinity => " and all below",
            };
            format!("GetMetadata {} {}{below}", of(mailbox), names.join(" "))
        }
        MetadataQuestion::Set { mailbox, changes } => {
            let value = |value: &Option<Vec<u8>>| match value {
                None => "goes".into(),
                Some(octets) if octets.len() > 100 => format!("{} octets", octets.len()),
                Some(octets) => format!("\"{}\"", octets.escape_ascii()),
            };
            let changes: Vec<String> = changes.iter().map(|(name, to)| format!("{name} {}", value(to))).collect();
            format!("SetMetadata {} {}", of(mailbox), changes.join(" "))
        }
        other => format!("{other:?}"),
    }
}

/// `/private/comment "a value"`
pub(crate) fn entry(text: &str) -> Result<(EntryName, Vec<u8>), String> {
    let (name, value) = text.split_once(' ').ok_or(format!("{text}: <name> <value>"))?;
    Ok((EntryName::parse(name).map_err(|error| error.to_string())?, quoted(value)?.0))
}

/// `root storage 1000 4096 message 3 10`: of each resource what is used, and the limit.
pub(crate) fn quota_root(text: &str) -> Result<QuotaRoot, String> {
    let (name, rest) = quoted(text)?;
    let words: Vec<&str> = rest.split_whitespace().collect();
    let one = |words: &[&str]| {
        let resource = match words[0] {
            "storage" => Resource::Storage,
            "message" => Resource::Message,
            other => return Err(format!("{other} is no resource")),
        };
        let number = |at: usize| words.get(at).and_then(|word| word.parse().ok()).ok_or("<resource> <used> <limit>");
        Ok(ResourceUse { resource, used: number(1)?, limit: number(2)? })
    };
    let resources = words.chunks(3).map(one).collect::<Result<_, _>>()?;
    Ok(QuotaRoot { name: String::from_utf8_lossy(&name).into_owned(), resources })
}

/// A search query in as few words as it has.
pub(crate) fn scope(scope: &SearchScope) -> String {
    match scope {
        SearchScope::Subtree(name) => format!("subtree {name}"),
        SearchScope::SubtreeOne(name) => format!("subtree-one {name}"),
        SearchScope::Mailbox(name) => format!("mailbox {name}"),
        other => format!("{other:?}").to_lowercase(),
    }
}

pub(crate) fn query(key: &Query) -> String {
    let list = |keys: &[Query]| keys.iter().map(query).collect::<Vec<_>>().join(" ");
    match key {
        Query::All => "all".into(),
        Query::And(keys) => format!("(and {})", list(keys)),
        Query::Or(one, other) => format!("(or {} {})", query(one), query(other)),
        Query::Not(key) => format!("(not {})", query(key)),
        Query::Uids(uids) => format!("uids<{uids}>"),
        Query::Flag(flag) => flag.to_string(),
        Query::Before(date) => format!("before {date}"),
        Query::On(date) => format!("on {date}"),
        Query::Since(date) => format!("since {date}"),
        Query::SentBefore(date) => format!("sent-before {date}"),
        Query::SentOn(date) => format!("sent-on {date}"),
        Query::SentSince(date) => format!("sent-since {date}"),
        Query::Larger(size) => format!("larger {size}"),
        Query::Smaller(size) => format!("smaller {size}"),
        Query::Header { name, text } => format!("header {name} {text:?}"),
        Query::Body(text) => format!("body {text:?}"),
        Query::Text(text) => format!("text {text:?}"),
        Query::Older(seconds) => format!("older {seconds}"),
        Query::Younger(seconds) => format!("younger {seconds}"),
        Query::ModSeq(mod_seq) => format!("modseq {mod_seq}"),
        Query::EmailId(id) => format!("emailid {id}"),
        Query::ThreadId(id) => format!("threadid {id}"),
        Query::SavedBefore(date) => format!("saved-before {date}"),
        Query::SavedOn(date) => format!("saved-on {date}"),
        Query::SavedSince(date) => format!("saved-since {date}"),
        other => format!("{other:?}"),
    }
}
