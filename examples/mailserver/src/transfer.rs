//! Mail of other programs into an account, and out of it.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, UNIX_EPOCH};

use pillarbox::maildir::mbox::{
    Exported, Imported, MboxReader, Progress, export_maildir, export_mbox, forget_import, import_maildir, import_mbox,
};
use pillarbox::maildir::{Access, MailboxName, Maildir, MaildirError, Options, Store, Tree, make_folders_above};
use pillarbox::parts::{Authenticator, Silent};

use crate::accounts::Accounts;
use crate::config::Config;
use crate::show::complain;

/// What mailboxes are written as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// One file a mailbox, `NAME.mbox`
    Mbox,
    /// One folder a mailbox, `NAME`
    Maildir,
}

/// The mailboxes of an account.
pub struct Account {
    tree: Tree,
}

impl Account {
    pub fn find(config: &Config, user: &str) -> Result<Self, String> {
        let accounts = Accounts::load(config, Arc::new(Silent))?;
        let runtime = tokio::runtime::Builder::new_current_thread().build().map_err(|error| error.to_string())?;
        match runtime.block_on(accounts.knows(user)) {
            Some(true) => {}
            Some(false) => return Err(format!("there is no account {user}")),
            None => return Err("the accounts cannot be read now".into()),
        }
        let folder = accounts.folder(user).ok_or_else(|| format!("the account {user} can have no folder here"))?;
        let store = Store::new(pillarbox::maildir::RealFs, Options::from_system());
        let told = |error| format!("the mailboxes of {user} in {}: {error}", folder.display());
        let options = accounts.lies_as(user);
        for folder in [Some(&folder), options.inbox.as_ref()].into_iter().flatten() {
            make_folders_above(&store, folder).map_err(told)?;
        }
        let tree = Tree::create_with(&store, &folder, options).map_err(told)?;
        Ok(Account { tree })
    }

    fn name(&self, mailbox: &str) -> Result<MailboxName, String> {
        MailboxName::parse(mailbox, '/').map_err(|error| format!("{mailbox}: {error}"))
    }

    /// The mailbox, made and subscribed if it is not there.
    fn mailbox(&self, name: &MailboxName) -> Result<Maildir, MaildirError> {
        match self.tree.mailbox(name) {
            Err(MaildirError::NoSuchMailbox(_)) => {
                let made = self.tree.create_mailbox(name)?;
                self.tree.subscribe(name)?;
                Ok(made)
            }
            found => found,
        }
    }
}

/// One line about a mailbox.
pub struct Done {
    mailbox: String,
    path: PathBuf,
    text: String,
    numbers: Vec<(&'static str, u64)>,
}

impl Done {
    pub fn shown(&self, json: bool) -> String {
        if !json {
            return format!("{}: {}", self.mailbox, self.text);
        }
        let numbers: String = self.numbers.iter().map(|(name, number)| format!(",\"{name}\":{number}")).collect();
        let path = self.path.to_string_lossy();
        format!("{{\"mailbox\":{},\"path\":{}{numbers}}}", quoted(&self.mailbox), quoted(&path))
    }
}

/// A text as JSON has it.
fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            c if c.is_control() => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// Brings in the messages of `source`.
pub fn import(account: &Account, mailbox: &str, source: &Path, again: bool) -> Result<Done, String> {
    let name = account.name(mailbox)?;
    let told = |error: std::io::Error| format!("{}: {error}", source.display());
    let path = source.canonicalize().map_err(told)?;
    let metadata = fs::metadata(&path).map_err(told)?;
    let is_dir = metadata.is_dir();
    if is_dir && !path.join("cur").is_dir() {
        return Err(format!("{}: neither an mbox file nor a Maildir folder, which has a `cur`", source.display()));
    }
    // A file that has changed is another one. A folder is the same whatever comes into it.
    let modified = metadata.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok()).unwrap_or_default();
    let id = match is_dir {
        true => path.display().to_string(),
        false => format!("{} {} {}", path.display(), metadata.len(), modified.as_nanos()),
    };
    // What is no mbox makes no mailbox.
    let mut mbox = match is_dir {
        true => None,
        false => Some(MboxReader::new(File::open(&path).map_err(told)?).map_err(|error| in_file(source, &error))?),
    };
    let folder = account.mailbox(&name).map_err(|error| format!("{name}: {error}"))?;
    if again {
        forget_import(&folder, &id).map_err(|error| format!("{name}: {error}"))?;
    }
    let mut meter = Meter::new(format!("{name}: brought in"));
    let imported = match &mut mbox {
        Some(mbox) => import_mbox(&folder, mbox, &id, |progress| meter.tell(progress)),
        None => import_maildir(&folder, &path, &id, |progress| meter.tell(progress)),
    };
    let Imported { messages, there_before, passed_over, keywords_lost, ended_before, .. } =
        imported.map_err(|error| match is_dir {
            true => error.to_string(),
            false => in_file(source, &error),
        })?;
    if !keywords_lost.is_empty() {
        complain(format_args!("{name}: there was no room for the keywords {}", keywords_lost.join(", ")));
    }
    let text = match ended_before {
        true => format!("{} was brought in before (--again brings it in once more)", source.display()),
        false if there_before > 0 => format!("{messages} messages, and {there_before} that an earlier try brought in"),
        false => format!("{messages} messages"),
    };
    let numbers = vec![
        ("messages", messages),
        ("there_before", there_before),
        ("passed_over", passed_over),
        ("ended_before", u64::from(ended_before)),
        ("keywords_lost", keywords_lost.len() as u64),
    ];
    Ok(Done { mailbox: name.to_string(), path, text, numbers })
}

fn in_file(source: &Path, error: &dyn std::fmt::Display) -> String {
    format!("{}: {error}", source.display())
}

/// What a file system takes for one name.
const FILE_NAME_MAX: usize = 255;

/// Writes mailboxes to a folder. False if some were passed over, which is told.
pub fn export(
    account: &Account,
    mailbox: Option<&str>,
    format: Format,
    dir: &Path,
    mut done: impl FnMut(Done),
) -> Result<bool, String> {
    let names = match mailbox {
        Some(mailbox) => vec![account.name(mailbox)?],
        None => {
            let listed = account.tree.list().map_err(|error| error.to_string())?;
            listed.into_iter().filter(|listed| listed.exists).map(|listed| listed.name).collect()
        }
    };
    fs::create_dir_all(dir).map_err(|error| format!("{}: {error}", dir.display()))?;
    let mut all = true;
    for name in names {
        let told = |error: MaildirError| format!("{name}: {error}");
        let file_name = file_name(&name, format);
        if file_name.len() > FILE_NAME_MAX {
            let octets = file_name.len();
            complain(format_args!(
                "{name}: passed over: its file would have a name of {octets} octets, and no name has more than {FILE_NAME_MAX}"
            ));
            all = false;
            continue;
        }
        let folder = account.tree.mailbox(&name).map_err(told)?;
        let mut open = pillarbox::maildir::Mailbox::open(&folder, Access::ReadOnly).map_err(told)?;
        let mut meter = Meter::new(format!("{name}: written"));
        let to = dir.join(file_name);
        let Exported { messages, gone, .. } = match format {
            Format::Mbox => export_mbox(&mut open, &to, |progress| meter.tell(progress)),
            Format::Maildir => export_maildir(&mut open, &to, |progress| meter.tell(progress)),
        }
        .map_err(told)?;
        let text = format!("{messages} messages in {}", to.display());
        done(Done { mailbox: name.to_string(), path: to, text, numbers: vec![("messages", messages), ("gone", gone)] });
    }
    Ok(all)
}

/// Levels parted by dots, so that no mailbox is written into another; a dot in a level is `%2E`.
fn file_name(name: &MailboxName, format: Format) -> String {
    let levels: Vec<String> =
        name.components().map(|level| level.replace('%', "%25").replace('.', "%2E").replace('\\', "%5C")).collect();
    match format {
        Format::Mbox => format!("{}.mbox", levels.join(".")),
        Format::Maildir => levels.join("."),
    }
}

/// Says how far something has come, if it takes long.
struct Meter {
    what: String,
    told: Instant,
}

const STEP: Duration = Duration::from_secs(2);

impl Meter {
    fn new(what: String) -> Self {
        Meter { what, told: Instant::now() }
    }

    fn tell(&mut self, progress: &Progress) {
        if self.told.elapsed() >= STEP {
            self.told = Instant::now();
            let percent = (progress.read * 100).checked_div(progress.total).unwrap_or(100);
            complain(format_args!("{} {} messages, {percent} %", self.what, progress.messages));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_mailbox_is_written_over_another_or_elsewhere() {
        for (name, file) in [
            ("INBOX", "INBOX.mbox"),
            ("a/b", "a.b.mbox"),
            ("a.b", "a%2Eb.mbox"),
            ("a%2Eb", "a%252Eb.mbox"),
            (".hidden", "%2Ehidden.mbox"),
        ] {
            assert_eq!(file_name(&MailboxName::parse(name, '/').unwrap(), Format::Mbox), file);
        }
    }

    #[test]
    fn texts_in_json() {
        assert_eq!(quoted("a\"b\\c\n\u{e4}"), "\"a\\\"b\\\\c\\u000a\u{e4}\"");
    }
}
