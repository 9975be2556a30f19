//! Where the mail of an account is.

use std::path::{Path, PathBuf};

/// Where the mail of an account is: a path with `{domain}` and `{user}` in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MailLocation {
    /// What a template that does not begin with `/` begins at. Kept apart because braces mean nothing in it.
    base: PathBuf,
    template: String,
}

impl MailLocation {
    /// A location out of its template, which begins at the folder `base` unless it is an absolute path.
    pub fn parse(base: &Path, template: &str) -> Result<Self, String> {
        let mut rest = template;
        while let Some(open) = rest.find(['{', '}']) {
            match ["{user}", "{domain}"].iter().find(|name| rest[open..].starts_with(**name)) {
                Some(name) => rest = &rest[open + name.len()..],
                None => return Err("in a mail location only `{user}` and `{domain}` stand in braces".into()),
            }
        }
        if !template.contains("{user}") {
            return Err("the mail location must hold `{user}`, or all accounts would share one folder".into());
        }
        Ok(MailLocation { base: base.to_owned(), template: template.to_owned() })
    }

    /// Whether accounts of two domains that have one name have two folders.
    pub fn tells_domains_apart(&self) -> bool {
        self.template.contains("{domain}")
    }

    /// The folder that the mail of all accounts is under.
    pub fn root(&self) -> PathBuf {
        let fixed = self.template.split('{').next().unwrap_or_default();
        let folder = fixed.rfind('/').map_or("", |slash| &fixed[..slash.max(1)]);
        self.base.join(folder)
    }

    /// The folder of an account. `None` if its name cannot safely be a part of a path.
    pub fn folder(&self, user: &str, domain: &str) -> Option<PathBuf> {
        let safe = |part: &str| {
            !part.is_empty()
                && part.len() <= 255
                && !part.starts_with('.')
                && !part.chars().any(|c| c == '/' || c == '\\' || c.is_control())
        };
        // Both, whichever stand in the template: what is refused here is no account, wherever its mail would be.
        if !safe(user) || !safe(domain) {
            return None;
        }
        // Replaced in one pass: a user called `{domain}` stays one.
        let mut folder = String::new();
        let mut rest = self.template.as_str();
        while let Some(open) = rest.find('{') {
            folder.push_str(&rest[..open]);
            let (part, len) = if rest[open..].starts_with("{user}") { (user, 6) } else { (domain, 8) };
            folder.push_str(part);
            rest = &rest[open + len..];
        }
        folder.push_str(rest);
        Some(self.base.join(folder))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_account_name_leaves_the_mail_folder() {
        let location = MailLocation::parse(Path::new("/etc"), "/var/mail/{domain}/{user}/Maildir").unwrap();
        let folder = |user| location.folder(user, "example.org");
        assert_eq!(folder("you"), Some("/var/mail/example.org/you/Maildir".into()));
        assert_eq!(folder("{domain}"), Some("/var/mail/example.org/{domain}/Maildir".into()));
        for user in ["", ".", "..", ".hidden", "a/b", "../x", "a\0b", "a\nb", "a\\b", &"a".repeat(256)] {
            assert_eq!(folder(user), None, "{user:?}");
        }
        assert_eq!(location.folder("you", "."), None);
    }

    #[test]
    fn a_location_begins_at_the_folder_of_the_file() {
        let location = |template| MailLocation::parse(Path::new("/srv/{odd}"), template).unwrap();
        assert_eq!(location("mail/{user}").folder("you", "b.example"), Some("/srv/{odd}/mail/you".into()));
        assert_eq!(location("mail/{user}").root(), Path::new("/srv/{odd}/mail"));
        assert_eq!(location("{user}").root(), Path::new("/srv/{odd}"));
        assert_eq!(location("/var/mail/d-{domain}/{user}").root(), Path::new("/var/mail"));
        assert_eq!(location("/{user}").root(), Path::new("/"));
    }
}
