//! What was measured, as a table or as JSON.

use std::fmt;

use serde_json::{Value, json};

/// One line of the table.
pub struct Row {
    pub section: u8,
    pub name: String,
    pub ours: Quantity,
    pub allocations: Option<f64>,
    pub peer: Option<Peer>,
    /// How many times better than the peer.
    pub ratio: Option<Spread>,
    pub goals: Vec<Goal>,
    pub note: String,
}

/// What the published crate came to.
pub struct Peer {
    pub name: &'static str,
    pub quantity: Quantity,
    pub allocations: Option<f64>,
}

#[derive(Clone, Copy)]
pub struct Quantity {
    pub unit: Unit,
    pub spread: Spread,
}

#[derive(Clone, Copy, PartialEq)]
pub enum Unit {
    Nanoseconds,
    OctetsPerSecond,
    MessagesPerSecond,
    Octets,
    /// A plain number.
    Times,
}

/// The median, and the quartiles around it.
#[derive(Clone, Copy)]
pub struct Spread {
    pub low: f64,
    pub median: f64,
    pub high: f64,
}

/// What was aimed at. It is told whether it was reached; nothing fails if it was not.
#[derive(Clone, Copy)]
pub enum Goal {
    /// So many times as fast as the peer, or faster.
    TimesPeer(f64),
    /// The value itself, or more.
    AtLeast(f64),
    /// The value itself, or less.
    AtMost(f64),
    NoAllocation,
}

impl Spread {
    pub fn of(mut samples: Vec<f64>) -> Self {
        samples.sort_by(f64::total_cmp);
        let at = |share: f64| samples[((samples.len() - 1) as f64 * share).round() as usize];
        Spread { low: at(0.25), median: at(0.5), high: at(0.75) }
    }

    pub fn exact(value: f64) -> Self {
        Spread { low: value, median: value, high: value }
    }
}

impl Row {
    fn reached(&self, goal: Goal) -> bool {
        let value = self.ours.spread.median;
        match goal {
            Goal::TimesPeer(goal) => self.ratio.is_some_and(|ratio| ratio.median >= goal),
            Goal::AtLeast(goal) => value >= goal,
            Goal::AtMost(goal) => value <= goal,
            Goal::NoAllocation => self.allocations == Some(0.0),
        }
    }

    fn goal_text(&self, goal: Goal) -> String {
        let value = |goal| Quantity { unit: self.ours.unit, spread: Spread::exact(goal) };
        let text = match goal {
            Goal::TimesPeer(goal) => format!(">= {goal}x"),
            Goal::AtLeast(goal) => format!(">= {}", value(goal)),
            Goal::AtMost(goal) => format!("<= {}", value(goal)),
            Goal::NoAllocation => "no allocation".into(),
        };
        format!("{text}: {}", if self.reached(goal) { "yes" } else { "**no**" })
    }

    fn cells(&self) -> [String; 9] {
        let number = |count: Option<f64>| count.map_or("".into(), |count| format!("{}", (count * 10.0).round() / 10.0));
        [
            self.section.to_string(),
            self.name.clone(),
            self.ours.to_string(),
            number(self.allocations),
            self.peer.as_ref().map_or(String::new(), |peer| format!("{} ({})", peer.quantity, peer.name)),
            number(self.peer.as_ref().and_then(|peer| peer.allocations)),
            self.ratio.map_or(String::new(), |ratio| {
                format!("**{}x** ({} to {})", short(ratio.median), short(ratio.low), short(ratio.high))
            }),
            self.goals.iter().map(|goal| self.goal_text(*goal)).collect::<Vec<_>>().join("; "),
            self.note.clone(),
        ]
    }

    pub fn to_json(&self) -> Value {
        json!({
            "section": self.section,
            "case": self.name,
            "ours": self.ours.to_json(),
            "allocations": self.allocations,
            "peer": self.peer.as_ref().map(|peer| json!({
                "name": peer.name, "quantity": peer.quantity.to_json(), "allocations": peer.allocations,
            })),
            "ratio": self.ratio.map(Spread::to_json),
            "goals": self.goals.iter().map(|goal| {
                let (kind, value) = match *goal {
                    Goal::TimesPeer(value) => ("times_peer", Some(value)),
                    Goal::AtLeast(value) => ("at_least", Some(value)),
                    Goal::AtMost(value) => ("at_most", Some(value)),
                    Goal::NoAllocation => ("no_allocation", None),
                };
                json!({ "kind": kind, "value": value, "reached": self.reached(*goal) })
            }).collect::<Vec<_>>(),
            "note": self.note,
        })
    }
}

impl Spread {
    fn to_json(self) -> Value {
        json!({ "median": self.median, "first_quartile": self.low, "third_quartile": self.high })
    }
}

impl Quantity {
    fn to_json(self) -> Value {
        let unit = match self.unit {
            Unit::Nanoseconds => "ns",
            Unit::OctetsPerSecond => "B/s",
            Unit::MessagesPerSecond => "messages/s",
            Unit::Octets => "B",
            Unit::Times => "x",
        };
        let mut value = self.spread.to_json();
        value["unit"] = unit.into();
        value
    }
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = self.spread.median;
        let (value, unit) = match self.unit {
            Unit::Nanoseconds if value >= 1e6 => (value / 1e6, " ms"),
            Unit::Nanoseconds if value >= 1e4 => (value / 1e3, " µs"),
            Unit::Nanoseconds => (value, " ns"),
            Unit::OctetsPerSecond if value >= 1e9 => (value / 1e9, " GB/s"),
            Unit::OctetsPerSecond => (value / 1e6, " MB/s"),
            Unit::MessagesPerSecond => (value, " messages/s"),
            Unit::Octets => (value, " B"),
            Unit::Times => (value, "x"),
        };
        write!(f, "{}{unit}", short(value))
    }
}

/// Three digits that mean something.
fn short(value: f64) -> String {
    match value.abs() {
        v if v >= 100.0 => format!("{value:.0}"),
        v if v >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

/// The whole as a Markdown table.
pub fn table(rows: &[Row]) -> String {
    const HEAD: [&str; 9] = ["", "case", "ours", "allocs", "peer", "its allocs", "ratio", "goal", "note"];
    let mut text = format!("| {} |\n|{}\n", HEAD.join(" | "), "---|".repeat(HEAD.len()));
    for row in rows {
        text += &format!("| {} |\n", row.cells().join(" | "));
    }
    text
}
