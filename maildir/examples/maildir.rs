//! A Maildir from the command line.
//!
//! ```text
//! maildir <dir> deliver < message         durable when it returns
//! maildir <dir> append [letters] < message  the same, with flags, and prints the UID
//! maildir <dir> list                      one line a message: UID, flags, keywords, size
//! maildir <dir> guids <mailbox>           one line a message: UID, GUID
//! maildir <dir> read <uid>                the message, with CRLF line ends
//! maildir <dir> flag <uid> <letters>      adds flags
//! maildir <dir> keyword <uid> <name>      adds a keyword
//! maildir <dir> expunge <uid>
//! maildir <dir> copy <uid> <mailbox>
//! maildir <dir> create <mailbox>
//! maildir <dir> mailboxes
//! maildir <dir> fsck [repair]             one line for each problem; fails if anything is wrong
//! maildir <dir> usage                     bytes and messages of the account, counted
//! maildir <dir> acl                       one line an identifier: rights
//! maildir <dir> set-acl <user> <rights>   `-user` takes them away; no rights remove the entry
//! maildir <dir> rights <user>             what they may do who do not own it
//! ```
//!
//! `<dir>` is the INBOX of an account; `<dir>/.Name` is another of its mailboxes.

use std::error::Error;
use std::io::{Read, Write};
use std::path::Path;

use pillarbox_fs::RealFs;
use pillarbox_maildir::{
    Access, Examiner, FlagChange, Flags, Identifier, Mailbox, MailboxName, Maildir, Options, Prepared, Repair, Rights,
    RightsChange, Store, Tree, TreeOptions, Uid, Who, fsck,
};

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let store = Store::new(RealFs, Options::from_system());
    let mut out = std::io::stdout().lock();
    match args[..] {
        [dir, "deliver"] => drop(message(&folder(&store, dir)?, Flags::NONE)?.publish()?),
        [dir, "append"] | [dir, "append", _] => {
            let folder = folder(&store, dir)?;
            let message = message(&folder, flags(args.get(2).unwrap_or(&""))?)?;
            writeln!(out, "{}", folder.append(vec![message])?.uids[0])?;
        }
        [dir, "list"] => {
            let mut mailbox = Mailbox::open(&folder(&store, dir)?, Access::ReadWrite)?;
            writeln!(out, "uidvalidity {} uidnext {}", mailbox.uid_validity(), mailbox.uid_next())?;
            let messages: Vec<(Uid, Flags)> = mailbox.messages().map(|message| (message.uid, message.flags)).collect();
            for (uid, flags) in messages {
                let size = mailbox.info(uid)?.size;
                let keywords = mailbox.keyword_names(flags).join(",");
                writeln!(out, "{uid} [{}] [{keywords}] {size}", flags.system())?;
            }
        }
        [dir, "guids", name] => {
            let folder = Tree::open(&store, dir)?.mailbox(&MailboxName::parse(name, '/')?)?;
            for message in Mailbox::open(&folder, Access::ReadOnly)?.messages() {
                writeln!(out, "{} {}", message.uid, String::from_utf8_lossy(message.guid))?;
            }
        }
        [dir, "read", uid] => {
            let mut reader = Mailbox::open(&folder(&store, dir)?, Access::ReadOnly)?.read(uid.parse()?)?;
            let mut piece = [0; 8192];
            let mut offset = 0;
            loop {
                match reader.read_at(offset, &mut piece)? {
                    0 => break,
                    n => {
                        out.write_all(&piece[..n])?;
                        offset += n as u64;
                    }
                }
            }
        }
        [dir, "flag", uid, letters] => {
            let mut mailbox = Mailbox::open(&folder(&store, dir)?, Access::ReadWrite)?;
            mailbox.set_flags(&[uid.parse()?], FlagChange::Add, flags(letters)?)?;
        }
        [dir, "keyword", uid, name] => {
            let folder = folder(&store, dir)?;
            let (flag, _) = folder.keyword_flags(&[name])?;
            Mailbox::open(&folder, Access::ReadWrite)?.set_flags(&[uid.parse()?], FlagChange::Add, flag)?;
        }
        [dir, "expunge", uid] => {
            Mailbox::open(&folder(&store, dir)?, Access::ReadWrite)?.expunge(&[uid.parse()?])?;
        }
        [dir, "copy", uid, target] => {
            let tree = Tree::open(&store, dir)?;
            let mut inbox = Mailbox::open(&tree.mailbox(&MailboxName::inbox())?, Access::ReadWrite)?;
            let copied = inbox.copy(&[uid.parse()?], &tree.mailbox(&MailboxName::parse(target, '/')?)?)?;
            writeln!(out, "{}", copied.uids[0].1)?;
        }
        [dir, "create", name] => {
            Tree::create(&store, dir)?.create_mailbox(&MailboxName::parse(name, '/')?)?;
        }
        [dir, "mailboxes"] => {
            for listed in Tree::open(&store, dir)?.list()? {
                writeln!(out, "{}{}", listed.name, if listed.exists { "" } else { " (no mailbox)" })?;
            }
        }
        [dir, "fsck"] | [dir, "fsck", "repair"] => {
            let repair = if args.len() > 2 { Repair::Yes } else { Repair::No };
            let tree = Tree::as_it_lies(&store, dir, TreeOptions::default())?;
            let report = fsck(&tree, repair, &mut Silent)?;
            for finding in &report.findings {
                let usual = if finding.problem.is_usual() { " (usual)" } else { "" };
                writeln!(out, "{}: {}{usual}", finding.path.display(), finding.problem)?;
            }
            if !report.is_clean() {
                return Err("something is wrong".into());
            }
        }
        [dir, "usage"] => {
            let tree = Tree::open(&store, dir)?;
            let usage = tree.recount(tree.quota_on_disk()?.unwrap_or_default())?;
            writeln!(out, "{} {}", usage.bytes, usage.messages)?;
        }
        [dir, "acl"] => {
            for entry in folder(&store, dir)?.acl()?.entries() {
                writeln!(out, "{}{} {}", if entry.negative { "-" } else { "" }, entry.identifier, entry.rights)?;
            }
        }
        [dir, "set-acl", user, rights] => {
            let (negative, user) = user.strip_prefix('-').map_or((false, user), |user| (true, user));
            let (folder, user) = (folder(&store, dir)?, Identifier::User(user.to_owned()));
            match Rights::parse(rights)? {
                Rights::NONE => folder.delete_acl(&user, negative)?,
                rights => folder.set_acl(&user, negative, RightsChange::Replace(rights))?,
            }
        }
        [dir, "rights", user] => {
            let who = Who { user: Some(user), ..Who::default() };
            writeln!(out, "{}", folder(&store, dir)?.acl()?.rights(&who))?;
        }
        _ => {
            let commands =
                "deliver|append|list|read|flag|keyword|expunge|copy|create|mailboxes|fsck|usage|acl|set-acl|rights";
            return Err(format!("usage: maildir <dir> {commands}").into());
        }
    }
    Ok(())
}

struct Silent;
impl Examiner for Silent {}

/// The folder at `dir`: a sub-folder of the account that it lies in, or the account's INBOX.
fn folder(store: &Store, dir: &str) -> Result<Maildir, Box<dyn Error>> {
    let path = Path::new(dir);
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    match (path.parent(), name.strip_prefix('.')) {
        (Some(root), Some(name)) if !name.is_empty() => {
            Ok(Tree::open(store, root)?.mailbox(&MailboxName::parse(name, '.')?)?)
        }
        _ => Ok(Maildir::create(store, path)?),
    }
}

fn message(folder: &Maildir, flags: Flags) -> Result<Prepared, Box<dyn Error>> {
    let mut incoming = folder.begin()?;
    let mut input = std::io::stdin().lock();
    let mut piece = [0; 8192];
    loop {
        match input.read(&mut piece)? {
            0 => return Ok(incoming.prepare(flags, None)?),
            n => incoming.write(&piece[..n])?,
        }
    }
}

fn flags(letters: &str) -> Result<Flags, String> {
    let mut flags = Flags::NONE;
    for letter in letters.chars() {
        flags |= match letter {
            'D' => Flags::DRAFT,
            'F' => Flags::FLAGGED,
            'P' => Flags::PASSED,
            'R' => Flags::ANSWERED,
            'S' => Flags::SEEN,
            'T' => Flags::DELETED,
            other => return Err(format!("no such flag: {other}")),
        };
    }
    Ok(flags)
}
