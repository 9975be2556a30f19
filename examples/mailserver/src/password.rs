//! Where passwords for other servers come from. They stand in no configuration file.

use std::env::VarError;
use std::fmt;
use std::path::PathBuf;

use pillarbox::mailcore::Secret;

use crate::secret_file;

/// Where a password is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PasswordSource {
    /// In a file that holds nothing else.
    File(PathBuf),
    /// In a variable of the environment.
    Env(String),
    /// Among the credentials that systemd gives a service (`LoadCredential=`).
    Credential(String),
}

impl fmt::Display for PasswordSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PasswordSource::File(path) => write!(f, "the file {}", path.display()),
            PasswordSource::Env(name) => write!(f, "the environment variable {name}"),
            PasswordSource::Credential(name) => write!(f, "the credential {name}"),
        }
    }
}

impl PasswordSource {
    /// Whether the name can be one.
    pub fn check_name(&self) -> Result<(), String> {
        match self {
            PasswordSource::Env(name) if name.is_empty() || name.contains(['=', '\0']) => {
                Err(format!("`{name}` cannot be the name of an environment variable"))
            }
            PasswordSource::Credential(name) if name.is_empty() || name.contains('/') || name.starts_with('.') => {
                Err(format!("`{name}` cannot be the name of a credential"))
            }
            _ => Ok(()),
        }
    }

    /// Reads it. A line's end behind it is not part of it.
    pub fn read(&self) -> Result<Secret<String>, String> {
        let text = match self {
            PasswordSource::File(path) => {
                secret_file::check_rights(path)?;
                std::fs::read_to_string(path).map_err(|error| format!("cannot read {self}: {error}"))?
            }
            PasswordSource::Env(name) => match std::env::var(name) {
                Ok(text) => text,
                Err(error @ VarError::NotPresent) => return Err(format!("cannot read {self}: {error}")),
                // The error shows the value.
                Err(VarError::NotUnicode(_)) => return Err(format!("cannot read {self}: it is not UTF-8")),
            },
            PasswordSource::Credential(name) => {
                let Some(folder) = std::env::var_os("CREDENTIALS_DIRECTORY") else {
                    return Err(format!(
                        "cannot read {self}: CREDENTIALS_DIRECTORY is not set; systemd sets it for a service with \
                         LoadCredential={name}:FILE"
                    ));
                };
                let path = PathBuf::from(folder).join(name);
                std::fs::read_to_string(path).map_err(|error| format!("cannot read {self}: {error}"))?
            }
        };
        let password = text.strip_suffix('\n').unwrap_or(&text);
        let password = password.strip_suffix('\r').unwrap_or(password);
        match password {
            "" => Err(format!("{self} holds no password")),
            password if password.chars().any(char::is_control) => Err(format!("{self} holds more than one line")),
            password => Ok(Secret::new(password.to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_file_holds_one_line_and_is_nobody_elses() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("password");
        let source = PasswordSource::File(path.clone());
        let told = |text: &str| {
            std::fs::write(&path, text).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
            source.read().map(|password| password.expose().clone())
        };
        assert_eq!(told("s3cret\n"), Ok("s3cret".into()));
        assert_eq!(told(" s3 cret \r\n"), Ok(" s3 cret ".into()));
        assert!(told("\n").unwrap_err().ends_with("holds no password"));
        assert!(told("one\ntwo\n").unwrap_err().ends_with("holds more than one line"));
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        assert!(source.read().unwrap_err().contains("everybody may use it"));
    }

    #[test]
    fn what_is_not_there_is_told_with_its_name() {
        let told = PasswordSource::Env("NO_SUCH_VARIABLE_HERE".into()).read().unwrap_err();
        assert!(told.starts_with("cannot read the environment variable NO_SUCH_VARIABLE_HERE: "), "{told}");
    }
}
