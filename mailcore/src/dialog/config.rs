//! The `cfg:` lines of a dialog file.

use std::cell::Cell;
use std::str::FromStr;

use super::Mode;
use super::report::Failure;
use super::text::take_quoted;

/// Settings of a connection. A setting that [`Subject::connect`](super::Subject::connect) never looks at is an error of
/// the file, so that a misspelt key cannot pass for a test.
#[derive(Clone, Debug, Default)]
pub struct Config {
    settings: Vec<Setting>,
}

#[derive(Clone, Debug)]
struct Setting {
    key: String,
    value: String,
    /// The connection it is for; `None` for all.
    connection: Option<usize>,
    line: usize,
    seen: Cell<bool>,
}

/// Keys for the player and not for the subject.
const OWN: [&str; 4] = ["side", "modes", "events", "loopback"];

impl Config {
    /// Settings as a `cfg:` line has them.
    ///
    /// # Errors
    ///
    /// A text for the reader if a quoted value has no end.
    ///
    /// ```
    /// let config = pillarbox_core::dialog::Config::of_text("size=1000 name=\"mx example\" tls").unwrap();
    /// assert_eq!(config.parsed("size", 0), Ok(1000));
    /// assert_eq!(config.value("name"), Some("mx example"));
    /// assert_eq!(config.flag("tls"), Ok(true));
    /// ```
    pub fn of_text(text: &str) -> Result<Config, String> {
        let mut config = Config::default();
        for (key, value) in settings(text)? {
            config.add(None, key, value, 1);
        }
        Ok(config)
    }

    /// The value of a key, if the file sets it. Where it is set more than once, the last one counts.
    pub fn value(&self, key: &str) -> Option<&str> {
        self.values(key).last()
    }

    /// All values of a key, in the order of the file.
    pub fn values<'c>(&'c self, key: &str) -> impl Iterator<Item = &'c str> {
        self.settings.iter().filter(move |setting| setting.key == key).map(|setting| {
            setting.seen.set(true);
            setting.value.as_str()
        })
    }

    /// The value of a key as a number or another type that can be read from text; `default` where the file is silent.
    ///
    /// # Errors
    ///
    /// A text for the reader if the value cannot be read.
    pub fn parsed<T: FromStr>(&self, key: &str, default: T) -> Result<T, String> {
        match self.value(key) {
            Some(value) => value.parse().map_err(|_| format!("cfg: {key}={value} cannot be read")),
            None => Ok(default),
        }
    }

    /// Whether a key is set to `yes` (a key without a value counts as that) and not to `no`, which is the default.
    ///
    /// # Errors
    ///
    /// A text for the reader if the value is neither.
    pub fn flag(&self, key: &str) -> Result<bool, String> {
        match self.value(key) {
            None | Some("no") => Ok(false),
            Some("yes") => Ok(true),
            Some(value) => Err(format!("cfg: {key}={value} is neither yes nor no")),
        }
    }

    pub(super) fn add(&mut self, connection: Option<usize>, key: String, value: String, line: usize) {
        self.settings.push(Setting { key, value, connection, line, seen: Cell::new(false) });
    }

    pub(super) fn of_connection(&self, connection: usize) -> Config {
        let concerns = |setting: &&Setting| {
            setting.connection.is_none_or(|of| of == connection) && !OWN.contains(&setting.key.as_str())
        };
        Config { settings: self.settings.iter().filter(concerns).cloned().collect() }
    }

    /// The first setting that nobody looked at: its line and key.
    pub(super) fn unseen(&self) -> Option<(usize, &str)> {
        self.settings.iter().find(|setting| !setting.seen.get()).map(|setting| (setting.line, setting.key.as_str()))
    }

    /// Checks the player's own keys.
    pub(super) fn check(&self, name: &str) -> Result<(), Failure> {
        for setting in &self.settings {
            let allowed: &[&str] = match setting.key.as_str() {
                "modes" => {
                    Mode::parse_list(&setting.value).map_err(|why| Failure::new(name, setting.line, why))?;
                    continue;
                }
                "events" => &["on", "off"],
                "loopback" => &["yes", "no"],
                _ => continue,
            };
            if !allowed.contains(&setting.value.as_str()) {
                let why = format!("{}={} is not one of {}", setting.key, setting.value, allowed.join(", "));
                return Err(Failure::new(name, setting.line, why));
            }
        }
        Ok(())
    }

    pub(super) fn modes(&self) -> Vec<Mode> {
        match self.value("modes") {
            Some(list) => Mode::parse_list(list).unwrap_or_default(),
            None => Mode::all(),
        }
    }

    pub(super) fn lists_every_event(&self) -> bool {
        self.value("events") != Some("off")
    }

    pub(super) fn loopback(&self) -> bool {
        self.value("loopback") != Some("no")
    }

    /// The letters of the machine under test and of its peer.
    pub(super) fn letters(&self) -> (char, char) {
        if self.client_side() { ('C', 'S') } else { ('S', 'C') }
    }

    pub(super) fn client_side(&self) -> bool {
        self.value("side") == Some("client")
    }
}

/// Reads `key=value key="quoted value" key`.
pub(super) fn settings(text: &str) -> Result<Vec<(String, String)>, String> {
    let mut found = Vec::new();
    let mut rest = text.trim();
    while !rest.is_empty() {
        let end = rest.find(['=', ' ']).unwrap_or(rest.len());
        let key = rest[..end].to_string();
        if key.is_empty() {
            return Err("a setting has no key".into());
        }
        rest = &rest[end..];
        let mut value = "yes".to_string();
        if let Some(tail) = rest.strip_prefix('=') {
            if tail.starts_with('"') {
                let (bytes, tail) = take_quoted(tail)?;
                value = String::from_utf8(bytes).map_err(|_| format!("the value of {key} is not UTF-8"))?;
                rest = tail;
            } else {
                let end = tail.find(' ').unwrap_or(tail.len());
                value = tail[..end].into();
                rest = &tail[end..];
            }
        }
        found.push((key, value));
        rest = rest.trim_start();
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_of_all_forms() {
        let found = settings(r#" size=10 name="mx example" tls empty= "#).unwrap();
        let expected = [("size", "10"), ("name", "mx example"), ("tls", "yes"), ("empty", "")];
        assert_eq!(found, expected.map(|(key, value)| (key.to_string(), value.to_string())));
        assert!(settings("=1").is_err() && settings("a=\"b").is_err());
    }

    #[test]
    fn keys_that_nobody_reads_are_found() {
        let mut config = Config::default();
        config.add(None, "size".into(), "12".into(), 1);
        config.add(Some(2), "sise".into(), "12".into(), 2);
        config.add(None, "modes".into(), "whole".into(), 3);
        let first = config.of_connection(1);
        assert_eq!(first.parsed("size", 5), Ok(12));
        assert_eq!(first.unseen(), None);
        let second = config.of_connection(2);
        assert_eq!(second.parsed("size", 5), Ok(12));
        assert_eq!(second.unseen(), Some((2, "sise")));
        assert!(second.parsed::<u8>("sise", 0).is_ok() && second.flag("size").is_err());
    }
}
