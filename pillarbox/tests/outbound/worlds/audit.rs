//! What became of each recipient that was accepted, as everybody else sees it: who has copies, who was told, and what the disk holds.

use std::collections::BTreeSet;
use std::path::Path;

use pillarbox::outbound::spool::{Recovered, Store};
use pillarbox::smtp::Notify;
use pillarbox_fs::{Fs as _, SimulatedFs};

use super::elsewhere::SAFE_HOSTS;
use super::{Expected, World};
use crate::net::Copy;
use crate::station::options;

/// What a damaged text holds, and no name that is drawn by lot.
const DAMAGE: &str = "xxxxxxxxxyxxxxxxxxx";

/// How recipients ended, counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Ends {
    pub(super) delivered: usize,
    /// The sender was told, or nobody was to be.
    pub(super) returned: usize,
    /// It is waiting.
    pub(super) queued: usize,
    /// It is where a person has to look.
    pub(super) quarantined: usize,
}

impl Ends {
    pub(super) fn add(&mut self, other: Ends) {
        self.delivered += other.delivered;
        self.returned += other.returned;
        self.queued += other.queued;
        self.quarantined += other.quarantined;
    }
}

/// What the disk of this host holds in the end.
#[derive(Default)]
pub(super) struct Disk {
    /// Content and recipients of what waits.
    waiting: Vec<(String, BTreeSet<String>)>,
    /// Recipients of what waits, and cannot be read.
    unread: Vec<BTreeSet<String>>,
    /// Content of what was set aside.
    set_aside: Vec<Vec<u8>>,
}

impl Disk {
    pub(super) fn of(fs: &SimulatedFs) -> Self {
        let mut disk = Disk::default();
        let aside = Path::new("/spool/set-aside");
        for entry in fs.list(aside).unwrap() {
            let octets = fs.read(&aside.join(entry.name), 1 << 20).unwrap();
            // An envelope whose content has a file of its own is beside that.
            disk.set_aside.extend(Some(octets).filter(|octets| contains(octets, "Subject: ")));
        }
        let (store, recovery) = Store::open(fs.clone(), "/spool", options(u64::MAX)).unwrap();
        for recovered in recovery {
            match recovered {
                Recovered::Waiting(waiting) => {
                    let open = waiting.open_recipients();
                    let to = open.map(|(_, to)| to.to.address().unwrap().to_string()).collect();
                    // One that is damaged waits for the next attempt to find that.
                    if let Ok(body) = store.body(waiting.id) {
                        let mut octets = vec![0; usize::try_from(body.len()).unwrap()];
                        assert_eq!(body.read_at(0, &mut octets).unwrap(), octets.len());
                        disk.waiting.push((String::from_utf8(octets).unwrap(), to));
                    } else {
                        disk.unread.push(to);
                    }
                }
                other => panic!("{other:?} after all was well"),
            }
        }
        disk
    }

    fn waits(&self, token: &str, all: &[&str], is_damaged: bool) -> bool {
        let is_one = |to: &BTreeSet<String>| all.iter().any(|one| to.contains(*one));
        let is_read = self.waiting.iter().any(|(text, to)| text.contains(token) && is_one(to));
        is_read || is_damaged && self.unread.iter().any(is_one)
    }

    fn is_set_aside(&self, token: &str) -> bool {
        self.set_aside.iter().any(|octets| contains(octets, token))
    }
}

pub(super) fn contains(octets: &[u8], token: &str) -> bool {
    octets.windows(token.len()).any(|window| window == token.as_bytes())
}

impl World {
    /// Each accepted recipient ended in exactly one way.
    pub(super) fn audit(&self, disk: &Disk) -> Ends {
        let mut ends = Ends::default();
        assert!(
            !self.damaged.is_empty() || disk.set_aside.is_empty(),
            "no power cut of a sound disk damages a message"
        );
        let is_of_damaged = |octets: &Vec<u8>| self.damaged.iter().any(|token| contains(octets, token));
        assert!(disk.set_aside.iter().all(is_of_damaged), "something is set aside that was sound");
        let copies = self.net.copies.lock().unwrap();
        for copy in copies.iter() {
            let is_safe = copy.envelope.session.tls.is_some() || !SAFE_HOSTS.contains(&&*copy.host);
            assert!(is_safe, "something went to {} in the clear", copy.host);
            let is_known = copy.envelope.session.identity.is_some() || !copy.host.ends_with("relay");
            assert!(is_known, "something went to {} without a login", copy.host);
            assert!(!contains(&copy.octets, DAMAGE), "something damaged went to {}", copy.to);
        }
        let notices = Notice::all(&copies, disk);
        for expected in &self.expected {
            let Expected { token, to, notify, crashes, .. } = expected;
            let who = format!("{token} to {to}");
            let got = copies.iter().filter(|copy| {
                copy.to == *to
                    && copy.envelope.from.is_null() == expected.from.is_none()
                    && contains(&copy.octets, token)
            });
            let (doubtful, certain): (Vec<_>, Vec<_>) = got.partition(|copy| copy.is_doubtful);
            let of = |action: &str| {
                let about = notices.iter().filter(|notice| notice.is_about(token, to, action));
                about.map(|notice| &*notice.message_id).collect::<BTreeSet<_>>().len()
            };
            let (failed, delayed, relayed) = (of("failed"), of("delayed"), of("relayed"));
            assert!(certain.len() <= 1 + crashes, "{who}: {} copies, {crashes} power cuts", certain.len());
            assert!(failed <= 1 && delayed <= 1 && relayed <= 1, "{who}: told twice");
            if expected.from.is_none() || notify.is_some_and(Notify::is_never) {
                assert_eq!((failed, delayed, relayed), (0, 0, 0), "{who}: told what it must not be");
            }
            let is_delivered = !certain.is_empty() || !doubtful.is_empty();
            if !certain.is_empty() && doubtful.is_empty() && *crashes == 0 {
                assert_eq!(failed, 0, "{who}: delivered, and returned as well");
            }
            let is_damaged = self.damaged.contains(token);
            let is_waiting = disk.waits(token, &[&[&**to], expected.via].concat(), is_damaged);
            // The bad weather ends long before the message is too old.
            let is_hopeless =
                ["never", "always", "dead", "strict", "no-mail", "false"].iter().any(|word| to.contains(word));
            let is_told = !expected.wants_failure() || failed == 1;
            if is_delivered {
                ends.delivered += 1;
            } else if is_waiting {
                assert!(self.is_early, "{who}: after so long nothing waits");
                ends.queued += 1;
            } else if is_damaged && disk.is_set_aside(token) {
                ends.quarantined += 1;
            } else {
                assert!(is_told, "{who}: lost");
                ends.returned += 1;
            }
            assert!(!disk.is_set_aside(token) || is_damaged, "{who}: set aside, and sound");
            // A reply that nobody asked for shifts the refusal of one recipient to another, and nobody can tell at that moment.
            if !is_damaged && !is_waiting && (is_hopeless || !self.weather.lies) {
                assert_eq!(is_delivered, !is_hopeless, "{who}: given up too soon, or taken by nobody");
            }
        }
        ends
    }
}

/// A notice that Joe has, or that is on its way to him.
struct Notice {
    message_id: String,
    text: String,
}

impl Notice {
    fn all(copies: &[Copy], disk: &Disk) -> Vec<Notice> {
        let here = copies.iter().filter(|copy| copy.to == "joe@here.example" && copy.envelope.from.is_null());
        let here = here.map(|copy| String::from_utf8(copy.octets.clone()).unwrap());
        let waiting = disk.waiting.iter().map(|(text, _)| text.clone());
        let is_notice = |text: &String| text.contains("\r\nContent-Type: message/delivery-status");
        let notice = |text: String| {
            let id = text.lines().find(|line| line.starts_with("Message-ID: ")).unwrap();
            Notice { message_id: id.into(), text }
        };
        here.chain(waiting.filter(is_notice)).map(notice).collect()
    }

    fn is_about(&self, token: &str, to: &str, action: &str) -> bool {
        self.text.contains(token)
            && self.text.contains(&format!("Final-Recipient: rfc822; {to}\r\nAction: {action}\r\n"))
    }
}
