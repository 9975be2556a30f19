//! Reading a TOML table key by key, so that every mistake is found and none is passed over.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::error::{Mistake, nearest};

/// A value with its place in the file.
pub type Value<'i> = Spanned<DeValue<'i>>;

/// A table that is being read. Mistakes are collected, so that one run shows them all.
pub struct Table<'t, 'i> {
    table: &'t DeTable<'i>,
    span: Range<usize>,
    known: Vec<&'static str>,
    missing: Vec<&'static str>,
}

impl<'t, 'i> Table<'t, 'i> {
    pub fn new(table: &'t DeTable<'i>, span: Range<usize>) -> Self {
        Table { table, span, known: Vec::new(), missing: Vec::new() }
    }

    /// The value of a key, if the key is there.
    pub fn optional(&mut self, key: &'static str) -> Option<&'t Value<'i>> {
        self.known.push(key);
        self.table.get(key)
    }

    /// The value of a key that must be there.
    pub fn required(&mut self, key: &'static str) -> Option<&'t Value<'i>> {
        let value = self.optional(key);
        if value.is_none() {
            self.missing.push(key);
        }
        value
    }

    /// Says of every key that was not asked for that it is unknown, and of every one that must be there that it is not.
    /// To be called last.
    pub fn finish(mut self, mistakes: &mut Vec<Mistake>) {
        for (key, _) in self.table {
            let name: &str = key.get_ref();
            if self.known.contains(&name) {
                continue;
            }
            // A key that is missing is the likelier one to be meant, and then that it is missing need not be told.
            let missing = nearest(name, self.missing.iter().copied());
            self.missing.retain(|key| Some(*key) != missing);
            let hint = match missing.or_else(|| nearest(name, self.known.iter().copied())) {
                Some(near) => format!("; did you mean `{near}`?"),
                None => format!("; known here: {}", self.known.join(", ")),
            };
            mistakes.push(Mistake::new(key.span(), format!("unknown key `{name}`{hint}")));
        }
        let missing = self.missing.iter().map(|key| format!("the key `{key}` is missing"));
        mistakes.extend(missing.map(|message| Mistake::new(self.span.clone(), message)));
    }
}

/// What a value is called in messages.
fn kind(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a number with a fraction",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

fn wrong_kind(value: &Value<'_>, wanted: &str, mistakes: &mut Vec<Mistake>) {
    mistakes.push(Mistake::new(value.span(), format!("this is {}, but {wanted} is needed", kind(value.get_ref()))));
}

/// The value as a text.
pub fn text<'t>(value: &'t Value<'_>, mistakes: &mut Vec<Mistake>) -> Option<&'t str> {
    let DeValue::String(text) = value.get_ref() else {
        wrong_kind(value, "a text in quotes", mistakes);
        return None;
    };
    Some(text)
}

/// The value as a text that `parse` understands; what it says of others becomes the message.
pub fn parsed<T>(
    value: &Value<'_>,
    mistakes: &mut Vec<Mistake>,
    parse: impl FnOnce(&str) -> Result<T, String>,
) -> Option<T> {
    match parse(text(value, mistakes)?) {
        Ok(parsed) => Some(parsed),
        Err(message) => {
            mistakes.push(Mistake::new(value.span(), message));
            None
        }
    }
}

/// The value as one of some words.
pub fn word<T: Copy>(value: &Value<'_>, words: &[(&'static str, T)], mistakes: &mut Vec<Mistake>) -> Option<T> {
    parsed(value, mistakes, |text| {
        words.iter().find(|(word, _)| *word == text).map(|(_, meaning)| *meaning).ok_or_else(|| {
            let all = words.iter().map(|(word, _)| format!("`{word}`")).collect::<Vec<_>>().join(", ");
            match nearest(text, words.iter().map(|(word, _)| *word)) {
                Some(near) => format!("`{text}` is not one of {all}; did you mean `{near}`?"),
                None => format!("`{text}` is not one of {all}"),
            }
        })
    })
}

/// The value as a whole number in a range. 0 never means "unlimited": where it is not in the range it is refused.
pub fn number(value: &Value<'_>, range: std::ops::RangeInclusive<u64>, mistakes: &mut Vec<Mistake>) -> Option<u64> {
    let DeValue::Integer(integer) = value.get_ref() else {
        wrong_kind(value, "a whole number", mistakes);
        return None;
    };
    match u64::from_str_radix(integer.as_str(), integer.radix()).ok().filter(|number| range.contains(number)) {
        Some(number) => Some(number),
        None => {
            let message = format!("{} is not in the range from {} to {}", integer.as_str(), range.start(), range.end());
            mistakes.push(Mistake::new(value.span(), message));
            None
        }
    }
}

/// The value as yes or no.
pub fn boolean(value: &Value<'_>, mistakes: &mut Vec<Mistake>) -> Option<bool> {
    let DeValue::Boolean(boolean) = value.get_ref() else {
        wrong_kind(value, "true or false", mistakes);
        return None;
    };
    Some(*boolean)
}

/// The value as a list.
pub fn list<'t, 'i>(value: &'t Value<'i>, mistakes: &mut Vec<Mistake>) -> Option<&'t [Value<'i>]> {
    let DeValue::Array(array) = value.get_ref() else {
        wrong_kind(value, "a list in [ ]", mistakes);
        return None;
    };
    Some(array)
}

/// The value as a table.
pub fn table<'t, 'i>(value: &'t Value<'i>, mistakes: &mut Vec<Mistake>) -> Option<Table<'t, 'i>> {
    let DeValue::Table(table) = value.get_ref() else {
        wrong_kind(value, "a table", mistakes);
        return None;
    };
    Some(Table::new(table, value.span()))
}
