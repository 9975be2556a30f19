//! What a configuration names on this machine: accounts, certificate, folders, addresses. Looks, and changes nothing.

use std::fs;
use std::io::ErrorKind;
use std::net::{IpAddr, TcpListener};
use std::os::unix::fs::FileTypeExt;
use std::path::Path;

use pillarbox::maildir::QuotaRules;
use pillarbox::passwd::PasswdFile;
use toml::Spanned;

use super::error::Mistake;
use super::read::Draft;
use super::read_sending::SendingDraft;
use super::{Address, TlsFiles};
use crate::accounts::quota_of;
use crate::folders::Folders;
use crate::password::PasswordSource;
use crate::sending::SOCKET_NAME;
use crate::{certificate, secret_file, signing};

/// What a path of a unix socket can hold on Linux, without the NUL at its end.
const SOCKET_PATH_MAX: usize = 107;

/// Finds all that a start would find wrong, except that a port is taken or not permitted.
pub fn examine(draft: &Draft, mistakes: &mut Vec<Mistake>) {
    if let Some(accounts) = &draft.accounts {
        let told = match examine_accounts(accounts.get_ref(), draft, mistakes) {
            Ok(told) => told,
            Err(message) => vec![message],
        };
        mistakes.extend(told.into_iter().map(|message| Mistake::new(accounts.span(), message)));
    }
    if let (Some(postmaster), Some(domains)) = (&draft.postmaster, &draft.domains)
        && let Some((_, domain)) = postmaster.get_ref().rsplit_once('@')
        && !domains.iter().any(|served| served == domain)
    {
        let message = format!("the domain of the postmaster, `{domain}`, is not in `domains`");
        mistakes.push(Mistake::new(postmaster.span(), message));
    }
    if let (Some(public), Some(place), Some(domains)) = (draft.public(), &draft.public_account, &draft.domains)
        && let Some((_, domain)) = public.account.rsplit_once('@')
        && !domains.iter().any(|served| served == domain)
    {
        let message = format!("the domain of the public mailboxes' account, `{domain}`, is not in `domains`");
        mistakes.push(Mistake::new(place.clone(), message));
    }
    if let Some(Some(TlsFiles { certificate, key })) = &draft.tls {
        let mut tell = |place: &Spanned<_>, message| mistakes.push(Mistake::new(place.span(), message));
        let chain = certificate::read_chain(certificate.get_ref()).map_err(|message| tell(certificate, message));
        let private = certificate::read_key(key.get_ref()).map_err(|message| tell(key, message));
        if let (Ok(chain), Ok(private)) = (chain, private)
            && let Err(message) = certificate::pair(chain, private)
        {
            tell(key, message);
        }
    }
    if let Some(mail) = &draft.mail {
        mistakes.extend(examine_folder(&mail.get_ref().root()).map(|message| Mistake::new(mail.span(), message)));
    }
    if let Some(sending) = &draft.sending {
        examine_sending(sending, mistakes);
    }
    for file in &draft.signing.files {
        mistakes.extend(signing::read_key(file.get_ref()).err().map(|message| Mistake::new(file.span(), message)));
    }
    for listener in &draft.listeners {
        let told = match &listener.get_ref().address {
            Address::Tcp(at) => examine_address(at.ip()),
            Address::Unix(path) => examine_socket(path),
        };
        mistakes.extend(told.map(|message| Mistake::new(listener.span(), message)));
    }
}

fn examine_address(ip: IpAddr) -> Option<String> {
    match TcpListener::bind((ip, 0)) {
        Err(error) if error.kind() == ErrorKind::AddrNotAvailable => {
            Some(format!("this machine does not have the address {ip}"))
        }
        _ => None,
    }
}

/// What sending needs of this machine. Passwords that do not stand in files are there when the server runs, and may not be
/// for who checks.
fn examine_sending(draft: &SendingDraft, mistakes: &mut Vec<Mistake>) {
    if let Some(folder) = &draft.folder {
        let told = examine_queue(folder.get_ref());
        mistakes.extend(told.map(|message| Mistake::new(folder.span(), message)));
    }
    for source in &draft.source {
        mistakes.extend(examine_address(*source.get_ref()).map(|message| Mistake::new(source.span(), message)));
    }
    if let Some(path) = &draft.trusted_certificates {
        mistakes
            .extend(certificate::read_chain(path.get_ref()).err().map(|message| Mistake::new(path.span(), message)));
    }
    let made =
        draft.tls_reports.folder.as_ref().and_then(|folder| Some((folder.span(), examine_made(folder.get_ref())?)));
    mistakes.extend(made.map(|(span, message)| Mistake::new(span, message)));
    for key in draft.tls_reports.dkim_key.iter().chain(&draft.seal_key) {
        mistakes.extend(signing::read_key(key.get_ref()).err().map(|message| Mistake::new(key.span(), message)));
    }
    for password in draft.passwords.iter().filter(|password| matches!(password.get_ref(), PasswordSource::File(_))) {
        mistakes.extend(password.get_ref().read().err().map(|message| Mistake::new(password.span(), message)));
    }
}

/// What is wrong with the passwd-file as a whole, or with single accounts in it.
fn examine_accounts(path: &Path, draft: &Draft, mistakes: &mut Vec<Mistake>) -> Result<Vec<String>, String> {
    let file = path.display();
    secret_file::check_rights(path)?;
    let text = fs::read_to_string(path).map_err(|error| format!("cannot read the accounts {file}: {error}"))?;
    let accounts = PasswdFile::parse(&text).map_err(|error| format!("{file}: {error}"))?;

    let mut told = Vec::new();
    let mut folders = Folders::default();
    for user in accounts.users() {
        // No account stands twice, so this is its line.
        let line = text.lines().position(|line| line.split(':').next() == Some(&*user)).map_or(0, |line| line + 1);
        let mut tell = |message: String| told.push(format!("{file}: line {line}: {message}"));
        let name = user.to_ascii_lowercase();
        let Some((local, domain)) = name.rsplit_once('@') else {
            tell(format!("the account `{user}` needs its domain, as in `{user}@example.org`"));
            continue;
        };
        if draft.domains.as_ref().is_some_and(|domains| !domains.iter().any(|served| served == domain)) {
            tell(format!("the domain of the account `{user}` is not in `domains`"));
            continue;
        }
        if let Err(error) = quota_of(&accounts, &user, &QuotaRules::default()) {
            tell(error.to_string());
        }
        let Some(mail) = draft.mail.as_ref().map(Spanned::get_ref) else { continue };
        match mail.folder(local, domain) {
            None => tell(format!("the account `{user}` has a name that cannot be the name of a folder")),
            Some(folder) => {
                let inbox = draft.mailboxes.as_ref().and_then(|mailboxes| mailboxes.of(local, domain).inbox);
                if let Err(other) = folders.claim(&user, std::iter::once(folder).chain(inbox)) {
                    tell(format!("the mail of `{user}` would be in the same folder as that of `{other}`"));
                }
            }
        }
    }
    if let (Some(public), Some(place)) = (draft.public(), &draft.public_account)
        && !accounts.users().any(|user| user.eq_ignore_ascii_case(&public.account))
    {
        let message = format!("there is no account for the public mailboxes, `{}`, in {file}", public.account);
        mistakes.push(Mistake::new(place.clone(), message));
    }
    if let Some(postmaster) = &draft.postmaster
        && !accounts.users().any(|user| user.eq_ignore_ascii_case(postmaster.get_ref()))
    {
        told.push(format!("there is no account for the postmaster, `{}`, in {file}", postmaster.get_ref()));
    }
    Ok(told)
}

/// The folder that all mail is under must be there, or the first delivery fails.
fn examine_folder(folder: &Path) -> Option<String> {
    match fs::metadata(folder) {
        Ok(found) if found.is_dir() => None,
        Ok(_) => Some(format!("{} is not a folder", folder.display())),
        Err(error) => Some(format!("cannot use the folder {}: {error}", folder.display())),
    }
}

/// A folder that is made at the start if it is not there.
fn examine_made(folder: &Path) -> Option<String> {
    match fs::metadata(folder) {
        Err(error) if error.kind() == ErrorKind::NotFound => folder.parent().and_then(examine_folder),
        _ => examine_folder(folder),
    }
}

/// The folder of the queue, which is made at the start if it is not there.
fn examine_queue(folder: &Path) -> Option<String> {
    let socket = folder.join(SOCKET_NAME);
    if socket.as_os_str().len() > SOCKET_PATH_MAX {
        let socket = socket.display();
        return Some(format!(
            "the path of a socket has at most {SOCKET_PATH_MAX} octets, and one is made here: {socket}"
        ));
    }
    match fs::metadata(folder) {
        Ok(found) if found.is_dir() => secret_file::check_rights(folder).err(),
        Ok(_) => Some(format!("{} is not a folder", folder.display())),
        Err(error) if error.kind() == ErrorKind::NotFound => folder.parent().and_then(examine_folder),
        Err(error) => Some(format!("cannot use the folder {}: {error}", folder.display())),
    }
}

fn examine_socket(path: &Path) -> Option<String> {
    if path.as_os_str().len() > SOCKET_PATH_MAX {
        return Some(format!("the path of a socket has at most {SOCKET_PATH_MAX} octets: {}", path.display()));
    }
    if let Some(message) = path.parent().and_then(examine_folder) {
        return Some(message);
    }
    match fs::symlink_metadata(path) {
        Ok(found) if !found.file_type().is_socket() => Some(format!("{} is there and is no socket", path.display())),
        _ => None,
    }
}
