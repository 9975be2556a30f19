//! Whose folder is whose: no two accounts share one, or each would read the other's mail.

use std::collections::HashMap;
use std::path::PathBuf;

/// The folders of accounts, each with the account that has it.
#[derive(Debug, Default)]
pub struct Folders(HashMap<PathBuf, String>);

impl Folders {
    /// Gives an account its folders: all of them, or none if another account has one of them, which is told then. It may have had them
    /// before.
    pub fn claim(&mut self, account: &str, folders: impl IntoIterator<Item = PathBuf>) -> Result<(), String> {
        let folders: Vec<PathBuf> = folders.into_iter().collect();
        let mut owners = folders.iter().filter_map(|folder| self.0.get(folder));
        match owners.find(|owner| *owner != account) {
            Some(other) => Err(other.clone()),
            None => {
                self.0.extend(folders.into_iter().map(|folder| (folder, account.to_owned())));
                Ok(())
            }
        }
    }

    /// Takes the folders of all other accounts back.
    pub fn keep(&mut self, is_account: impl Fn(&str) -> bool) {
        self.0.retain(|_, owner| is_account(owner));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_has_a_folder_keeps_it() {
        let mut folders = Folders::default();
        let places = |names: &[&str]| names.iter().map(PathBuf::from).collect::<Vec<_>>();
        assert_eq!(folders.claim("a", places(&["/1", "/2"])), Ok(()));
        assert_eq!(folders.claim("b", places(&["/3", "/2"])), Err("a".to_owned()));
        assert_eq!(folders.claim("c", places(&["/3"])), Ok(()), "who was refused has none");
        assert_eq!(folders.claim("a", places(&["/1", "/2"])), Ok(()));
        folders.keep(|account| account != "a");
        assert_eq!(folders.claim("b", places(&["/2"])), Ok(()));
    }
}
