use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use pillarbox_fs::{Fs, SimulatedFs};
use proptest::prelude::*;

use super::*;
use crate::{Clock, Options, Store};

/// The disk's own clock.
struct DiskClock(SimulatedFs);

impl Clock for DiskClock {
    fn now(&self) -> SystemTime {
        self.0.now()
    }

    fn sleep(&self, duration: Duration) {
        self.0.advance(duration);
    }
}

fn maildir(fs: &SimulatedFs) -> Maildir {
    let mut options = Options::from_system();
    options.clock = Arc::new(DiskClock(fs.clone()));
    let store = Store::new(fs.clone(), options);
    Maildir::create(&store, "/m").unwrap()
}

fn uid(number: u32) -> Uid {
    Uid::new(number).unwrap()
}

/// What is in a mailbox: UIDs and flags, as its files and its list would have it.
type Messages = Vec<(Uid, Flags)>;

fn messages(uids: &[u32]) -> Messages {
    uids.iter().map(|number| (uid(*number), Flags::NONE)).collect()
}

/// A look at a mailbox that is so.
fn look(journal: &mut Journal, messages: &[(Uid, Flags)]) {
    assert!(journal.lock().unwrap());
    journal.settle(7, messages.iter().copied(), &Keywords::default(), true);
    journal.unlock();
}

fn highest(journal: &Journal) -> u64 {
    journal.highest().expect("there are mod-sequences")
}

/// Mod-sequences counted from one that was told before.
fn since(journal: &Journal, start: u64, uids: &[u32]) -> Vec<u64> {
    uids.iter().map(|number| journal.mod_seq(uid(*number)).map_or(0, |mod_seq| mod_seq - start)).collect()
}

fn bytes(fs: &SimulatedFs) -> Vec<u8> {
    fs.read(Path::new("/m/pillarbox-journal"), 1 << 30).unwrap()
}

fn inode(fs: &SimulatedFs) -> u64 {
    fs.metadata(Path::new("/m/pillarbox-journal")).unwrap().id.1
}

/// Other octets in the file. It is another file, so that where they name one, `was`, they name it by its new number.
fn overwrite(fs: &SimulatedFs, was: u64, bytes: &[u8]) {
    let path = Path::new("/m/pillarbox-journal");
    fs.unlink(path).unwrap();
    let mut file = fs.create(path).unwrap();
    let mut bytes = bytes.to_vec();
    let other = (was ^ inode(fs)).to_le_bytes();
    bytes.iter_mut().skip(HEADER_LEN - 8).zip(other).for_each(|(octet, other)| *octet ^= other);
    file.write(&bytes).unwrap();
    file.sync().unwrap();
    fs.sync_dir(Path::new("/m")).unwrap();
}

#[test]
fn what_others_change_is_counted() {
    let fs = SimulatedFs::new();
    let mut journal = Journal::new(&maildir(&fs));
    let mut there = messages(&[1, 2]);
    look(&mut journal, &there);
    let start = highest(&journal);
    assert_eq!(since(&journal, start, &[1, 2, 3]), [0, 0, 0]);
    assert!(start > 1_000_000_000_000_000, "the microseconds of the clock");
    assert_eq!(journal.gone_since(start - 1), None, "nobody knows what was before");
    assert_eq!(journal.gone_since(start), Some(vec![]));

    look(&mut journal, &there);
    assert_eq!(highest(&journal), start, "nothing happened");
    there[0].1 = Flags::SEEN;
    there.extend(messages(&[4, 5]));
    look(&mut journal, &there);
    assert_eq!(since(&journal, start, &[1, 2, 4, 5]), [3, 0, 1, 2], "each that came has its own");
    there.retain(|(known, _)| ![2, 4].contains(&known.get()));
    look(&mut journal, &there);
    assert_eq!(highest(&journal), start + 4);
    assert_eq!(journal.gone_since(start + 3), Some(vec![(uid(4), uid(4)), (uid(2), uid(2))]));
    assert_eq!(journal.gone_since(start + 4), Some(vec![]));
    assert_eq!(since(&journal, start, &[1, 2, 4, 5]), [3, 0, 0, 2]);
}

#[test]
fn own_changes_are_counted_where_they_are_made() {
    let fs = SimulatedFs::new();
    let mut journal = Journal::new(&maildir(&fs));
    look(&mut journal, &messages(&[1, 2, 3, 4]));
    let start = highest(&journal);
    assert!(journal.lock().unwrap() && !journal.lock().unwrap(), "who has it has it");
    journal.flags_changed(&[(uid(1), Flags::SEEN), (uid(3), Flags::SEEN)]);
    journal.expunged(&[uid(2), uid(3), uid(9)]);
    journal.unlock();
    assert_eq!(since(&journal, start, &[1, 2, 3, 4]), [1, 0, 0, 0]);
    assert_eq!(journal.gone_since(start), Some(vec![(uid(2), uid(3))]));
    assert_eq!(journal.gone_at(&[uid(1), uid(2), uid(3), uid(9)]), [None, Some(start + 2), Some(start + 2), None]);
    let before = bytes(&fs);
    look(&mut journal, &[(uid(1), Flags::SEEN), (uid(4), Flags::NONE)]);
    assert_eq!((highest(&journal), bytes(&fs)), (start + 2, before), "and not once more when they are seen");
}

/// Two processes: what one wrote the other has under the same number.
#[test]
fn two_who_look_agree() {
    let fs = SimulatedFs::new();
    let (mut one, mut two) = (Journal::new(&maildir(&fs)), Journal::new(&maildir(&fs)));
    look(&mut one, &messages(&[1]));
    look(&mut two, &messages(&[1]));
    assert_eq!(one.highest(), two.highest());
    let start = highest(&one);
    look(&mut two, &messages(&[1, 2]));
    look(&mut one, &messages(&[1, 2]));
    assert_eq!(since(&one, start, &[1, 2]), since(&two, start, &[1, 2]));
    look(&mut one, &messages(&[2]));
    look(&mut two, &messages(&[2]));
    assert_eq!((one.highest(), one.gone_since(start)), (two.highest(), two.gone_since(start)));
    assert_eq!(highest(&one), start + 2);
    let told = two.highest();
    assert!(one.lock().unwrap());
    assert!(matches!(two.lock(), Err(MaildirError::Locked(_))), "one at a time");
    assert_eq!((two.highest(), two.trouble().is_none()), (told, true), "what is known is still true");
    let mut three = Journal::new(&maildir(&fs));
    assert!(!three.lock().unwrap() && three.trouble().is_some(), "who knows nothing yet does without");
    one.unlock();
    look(&mut two, &messages(&[2]));
    assert_eq!(two.highest(), told);
    look(&mut three, &messages(&[2]));
    assert!(highest(&three) > highest(&one), "what was told meanwhile is not written down");
}

#[test]
fn who_comes_back_while_the_system_runs_goes_on() {
    let fs = SimulatedFs::new();
    let mut journal = Journal::new(&maildir(&fs));
    look(&mut journal, &messages(&[1, 2]));
    look(&mut journal, &messages(&[2]));
    let known = (journal.highest(), journal.mod_seq(uid(2)), journal.gone_since(highest(&journal) - 1));
    fs.advance(Duration::from_secs(1000));
    let mut again = Journal::new(&maildir(&fs));
    look(&mut again, &messages(&[2]));
    assert_eq!((again.highest(), again.mod_seq(uid(2)), again.gone_since(highest(&journal) - 1)), known);
}

#[test]
fn after_a_power_cut_everything_counts_as_changed() {
    let fs = SimulatedFs::new();
    let mut journal = Journal::new(&maildir(&fs));
    look(&mut journal, &messages(&[1, 2]));
    look(&mut journal, &messages(&[1, 2, 3]));
    let told = highest(&journal);
    for disk in fs.crash().images(100, 1) {
        let mut after = Journal::new(&maildir(&disk));
        look(&mut after, &messages(&[1, 3]));
        assert!(highest(&after) >= told + STEP - 1, "above all that was reserved");
        assert!(after.mod_seq(uid(1)) > Some(told) && after.mod_seq(uid(3)) > Some(told));
        assert_eq!(after.gone_since(told), None);
    }
}

#[test]
fn a_keyword_that_means_something_else_is_a_change() {
    let fs = SimulatedFs::new();
    let mut journal = Journal::new(&maildir(&fs));
    let there = [(uid(1), Flags::keyword(0).unwrap()), (uid(2), Flags::keyword(1).unwrap())];
    let mut look = |keywords: &[u8]| {
        journal.lock().unwrap();
        journal.settle(7, there.iter().copied(), &Keywords::parse(keywords), true);
        journal.unlock();
        [highest(&journal), journal.mod_seq(uid(1)).unwrap(), journal.mod_seq(uid(2)).unwrap()]
    };
    let [start, ..] = look(b"0 a\n1 b\n");
    assert_eq!(look(b"0 a\n1 b\n2 c\n"), [start, start, start], "no message has it");
    assert_eq!(look(b"0 a\n1 x\n2 c\n"), [start + 1, start, start + 1]);
    assert_eq!(look(b"0 a\n1 x\n"), [start + 1, start, start + 1]);
    assert_eq!(look(b"1 x\n"), [start + 2, start + 2, start + 1]);
}

#[test]
fn what_was_not_listed_for_sure_is_not_gone() {
    let fs = SimulatedFs::new();
    let mut journal = Journal::new(&maildir(&fs));
    look(&mut journal, &messages(&[1, 2]));
    let start = highest(&journal);
    journal.lock().unwrap();
    journal.settle(7, messages(&[1, 3]).into_iter(), &Keywords::default(), false);
    journal.unlock();
    assert_eq!(journal.gone_since(start), Some(vec![]));
    look(&mut journal, &messages(&[1, 2, 3]));
    assert_eq!(since(&journal, start, &[1, 2, 3]), [0, 2, 1], "it was not seen, and is now");
    look(&mut journal, &messages(&[1, 2, 3]));
    assert_eq!(highest(&journal), start + 2);
}

#[test]
fn a_message_comes_back() {
    let fs = SimulatedFs::new();
    let mut journal = Journal::new(&maildir(&fs));
    look(&mut journal, &messages(&[1, 2, 3]));
    look(&mut journal, &messages(&[3]));
    let start = highest(&journal);
    look(&mut journal, &messages(&[1, 3, 4]));
    assert_eq!(since(&journal, start, &[1, 2, 4]), [1, 0, 2]);
    let mut again = Journal::new(&maildir(&fs));
    look(&mut again, &messages(&[1, 3, 4]));
    assert_eq!(again.highest(), journal.highest());
    assert_eq!(again.mod_seq(uid(1)), journal.mod_seq(uid(1)));
}

#[test]
fn another_numbering_begins_anew() {
    let fs = SimulatedFs::new();
    let mut journal = Journal::new(&maildir(&fs));
    look(&mut journal, &messages(&[1, 2]));
    let start = highest(&journal);
    journal.lock().unwrap();
    journal.settle(8, messages(&[1]).into_iter(), &Keywords::default(), true);
    journal.unlock();
    assert!(highest(&journal) > start);
    assert_eq!(journal.gone_since(start), None);
}

/// A file of which little is needed is written anew, with all that a client may ask for.
#[test]
fn a_long_file_is_written_anew() {
    let fs = SimulatedFs::new();
    let mut journal = Journal::new(&maildir(&fs));
    look(&mut journal, &messages(&[1, 2, 3]));
    look(&mut journal, &messages(&[1, 3]));
    let start = highest(&journal);
    let before = bytes(&fs).len();
    let (mut longest, mut changes) = (before, 0);
    while bytes(&fs).len() >= longest {
        longest = bytes(&fs).len();
        changes += 1;
        let flags = if changes % 2 == 0 { Flags::NONE } else { Flags::SEEN };
        look(&mut journal, &[(uid(1), flags), (uid(3), Flags::NONE)]);
    }
    assert!(longest as u64 <= SMALL + 100 && bytes(&fs).len() < 200, "{longest} {}", bytes(&fs).len());
    assert_eq!(highest(&journal), start + changes);
    for mut journal in [journal, Journal::new(&maildir(&fs))] {
        look(
            &mut journal,
            &[(uid(1), if changes % 2 == 0 { Flags::NONE } else { Flags::SEEN }), (uid(3), Flags::NONE)],
        );
        assert_eq!(highest(&journal), start + changes);
        assert_eq!(since(&journal, start - 1, &[1, 2, 3]), [changes + 1, 0, 0]);
        assert_eq!(journal.gone_since(start - 1), Some(vec![(uid(2), uid(2))]), "what went is remembered");
    }
}

/// One sync for many numbers, and never a number before it.
#[test]
fn numbers_are_reserved_before_they_are_given() {
    let fs = SimulatedFs::new();
    let mut journal = Journal::new(&maildir(&fs));
    look(&mut journal, &messages(&[1]));
    let start = highest(&journal);
    let mut there = messages(&[1]);
    for round in 0..3 {
        let next = there.len() as u32 + 1;
        there.extend((next..next + 30_000).map(|number| (uid(number), Flags::NONE)));
        look(&mut journal, &there);
        for disk in fs.crash().images(8, round) {
            let mut after = Journal::new(&maildir(&disk));
            look(&mut after, &there);
            assert!(highest(&after) > highest(&journal));
        }
    }
    assert_eq!(highest(&journal), start + 90_000);
}

/// Of mod-sequences that lie too far apart the later ones are not believed.
// MDR-06
#[test]
fn numbers_that_are_far_apart() {
    let mut state = State::default();
    state.apply(&Item::Reserved { up_to: MOD_SEQ_MAX, boot: 0 }).unwrap();
    let mut say = |number, mod_seq| state.apply(&Item::Message { uid: uid(number), flags: 0, mod_seq });
    let first = 1 << 40;
    assert_eq!(say(1, first), Ok(()));
    assert_eq!(say(2, first + (1 << 31) - 1), Ok(()));
    assert_eq!(say(3, first - (1 << 31) + 1), Ok(()));
    assert_eq!(say(4, first + (1 << 31)), Err(Cut));
    assert_eq!(say(4, first - (1 << 31)), Err(Cut));
    assert_eq!(say(4, MOD_SEQ_MAX), Err(Cut));
    state.finish();
    assert_eq!(
        [1, 2, 3, 4].map(|number| state.mod_seq(uid(number))),
        [Some(first), Some(first + (1 << 31) - 1), Some(first - (1 << 31) + 1), None]
    );
    // Nor are they given.
    let fs = SimulatedFs::new();
    let mut journal = Journal::new(&maildir(&fs));
    look(&mut journal, &messages(&[1]));
    let start = highest(&journal);
    let known = journal.known.as_mut().unwrap();
    known.state.apply(&Item::Reserved { up_to: MOD_SEQ_MAX, boot: 0 }).unwrap();
    known.state.apply(&Item::Highest { mod_seq: start + (1 << 32) }).unwrap();
    journal.lock().unwrap();
    journal.flags_changed(&[(uid(1), Flags::SEEN)]);
    journal.unlock();
    assert!(matches!(journal.trouble(), Some(MaildirError::NumbersExhausted)) && journal.highest().is_none());
}

#[test]
fn a_long_history_is_cut_short() {
    let fs = SimulatedFs::new();
    let mut journal = Journal::new(&maildir(&fs));
    let all: Vec<u32> = (1..=20_010).collect();
    look(&mut journal, &messages(&all));
    let start = highest(&journal);
    let odd: Vec<u32> = all.iter().copied().filter(|n| n % 2 == 1 && *n < 20_000).collect();
    let even: Vec<u32> = all.iter().copied().filter(|n| !odd.contains(n)).collect();
    look(&mut journal, &messages(&even));
    assert_eq!(journal.gone_since(start).map(|gone| gone.len()), Some(10_000));
    look(&mut journal, &messages(&even[1..]));
    for journal in [&mut journal, &mut Journal::new(&maildir(&fs))] {
        look(journal, &messages(&even[1..]));
        assert_eq!(journal.gone_since(start), None);
        assert_eq!(journal.gone_since(start + 1), Some(vec![(uid(2), uid(2))]));
    }
}

/// Trouble with the journal is no trouble with the mail.
// DSK-01
#[test]
fn without_a_disk_to_write_on_there_are_no_mod_sequences() {
    use nix::errno::Errno;
    for carried_out in [false, true] {
        for n in 0.. {
            let fs = SimulatedFs::new();
            let mut journal = Journal::new(&maildir(&fs));
            fs.fail_at(n, Errno::ENOSPC as i32, carried_out);
            let mut there = messages(&[1, 2]);
            let mut told = 0;
            let mut look_if_possible = |journal: &mut Journal, there: &[(Uid, Flags)]| {
                journal.lock().unwrap();
                journal.settle(7, there.iter().copied(), &Keywords::default(), true);
                journal.unlock();
                assert_eq!(journal.highest().is_none(), journal.trouble().is_some());
                assert!(journal.highest().is_none_or(|highest| highest >= told), "it fell");
                told = journal.highest().unwrap_or(told);
            };
            look_if_possible(&mut journal, &there);
            look_if_possible(&mut journal, &there[..1]);
            there[0].1 = Flags::SEEN;
            look_if_possible(&mut journal, &there[..1]);
            if fs.heal() {
                assert!(n > 5, "{n} changes");
                break;
            }
            look_if_possible(&mut journal, &there[..1]);
            assert!(journal.trouble().is_none());
            // What came and went in between may have been told.
            let mut again = Journal::new(&maildir(&fs));
            look_if_possible(&mut again, &there[..1]);
            assert_eq!(again.highest(), journal.highest());
        }
    }
}

/// A journal with some of everything.
fn written() -> (SimulatedFs, u64) {
    let fs = SimulatedFs::new();
    let mut journal = Journal::new(&maildir(&fs));
    look(&mut journal, &messages(&[1, 2, 3, 4]));
    journal.lock().unwrap();
    journal.settle(7, messages(&[1, 3, 4]).into_iter(), &Keywords::parse(b"0 work\n"), true);
    journal.flags_changed(&[(uid(3), Flags::keyword(0).unwrap())]);
    journal.expunged(&[uid(3), uid(4)]);
    journal.unlock();
    (fs, highest(&journal))
}

/// Opens a journal that is not as it was written: never less than was told.
fn opened(fs: &SimulatedFs, told: u64) -> Journal {
    let mut journal = Journal::new(&maildir(fs));
    journal.lock().unwrap();
    journal.settle(7, messages(&[1]).into_iter(), &Keywords::parse(b"0 work\n"), true);
    journal.unlock();
    assert!(highest(&journal) >= told, "{} after {told}", highest(&journal));
    journal
}

// MDR-06
#[test]
fn a_journal_is_believed_whole_or_not() {
    let (fs, told) = written();
    let (good, was) = (bytes(&fs), inode(&fs));
    assert_eq!(highest(&opened(&fs, told)), told, "as it was written");
    fs.advance(Duration::from_secs(1));
    for bit in 0..good.len() * 8 {
        let mut bad = good.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        overwrite(&fs, was, &bad);
        let journal = opened(&fs, told + 1);
        assert_eq!(journal.gone_since(told), None, "bit {bit}");
    }
    for (more, what) in [(&b"\0"[..], "an octet"), (&[0; 600], "zeros"), (&good, "itself")] {
        overwrite(&fs, was, &[&good, more].concat());
        assert_eq!(opened(&fs, told + 1).gone_since(told), None, "{what} more");
    }
}

/// What an administrator puts back says less than was told, in words that are all true.
// MDR-06
#[test]
fn a_journal_from_a_backup_is_not_believed() {
    let path = Path::new("/m/pillarbox-journal");
    for open in [true, false] {
        let fs = SimulatedFs::new();
        let mut journal = Journal::new(&maildir(&fs));
        let mut there = messages(&[1, 2]);
        look(&mut journal, &there);
        let backup = bytes(&fs);
        there[0].1 = Flags::SEEN;
        look(&mut journal, &there);
        let told = highest(&journal);
        if !open {
            journal = Journal::new(&maildir(&fs));
        }
        fs.unlink(path).unwrap();
        fs.create(path).unwrap().write(&backup).unwrap();
        fs.advance(Duration::from_secs(1));
        look(&mut journal, &messages(&[1, 2]));
        assert!(highest(&journal) > told + 1, "a number was given to two things: {} {told}", highest(&journal));
        assert_eq!(journal.gone_since(told), None);
    }
}

/// The same, written into the file that is there, under a mailbox that is open.
// MDR-06
#[test]
fn a_journal_that_is_shorter_than_it_was_is_not_believed() {
    let (fs, _) = written();
    let mut journal = Journal::new(&maildir(&fs));
    look(&mut journal, &messages(&[1]));
    let told = highest(&journal);
    let (good, was) = (bytes(&fs), inode(&fs));
    let first = FRAME_HEAD + u32::from_le_bytes(*good[HEADER_LEN..].first_chunk().unwrap()) as usize;
    // Behind the first frame, with nothing wrong in it.
    overwrite(&fs, was, &good[..HEADER_LEN + first]);
    journal.known.as_mut().unwrap().header.file.1 = inode(&fs);
    look(&mut journal, &messages(&[1]));
    assert!(highest(&journal) > told + 1);
    assert_eq!(journal.gone_since(told), None);
}

/// A cut between two frames cannot be told from a journal that ends there, and then it is one: what was said behind is missing
/// and found out by a look.
// MDR-06
#[test]
fn a_journal_that_is_cut_short() {
    let (fs, told) = written();
    let (good, was) = (bytes(&fs), inode(&fs));
    fs.advance(Duration::from_secs(1));
    let mut at_frames = 0;
    for len in 0..good.len() {
        overwrite(&fs, was, &good[..len]);
        let mut journal = Journal::new(&maildir(&fs));
        look(&mut journal, &messages(&[1]));
        match highest(&journal) > told + 1 {
            true => assert_eq!(journal.gone_since(told), None, "{len} octets"),
            false => at_frames += 1,
        }
        assert_eq!(journal.mod_seq(uid(3)), None);
    }
    assert_eq!(at_frames, 3, "behind the first frame, and each but the last");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    // MDR-06
    #[test]
    fn any_octets_are_a_journal_or_none(
        noise in proptest::collection::vec(any::<u8>(), 0..300),
        keep in 0..200_usize,
        valid in any::<bool>(),
    ) {
        let (fs, told) = written();
        let (good, was) = (bytes(&fs), inode(&fs));
        fs.advance(Duration::from_secs(1));
        let mut bad = good[..keep.min(good.len())].to_vec();
        if valid && bad.len() >= HEADER_LEN {
            // Noise with a checksum that is right.
            bad.truncate(HEADER_LEN);
            let (_, checksum) = Header::decode(bad[..].first_chunk().unwrap()).unwrap();
            bad.extend(format::frame_of(&noise, checksum));
        } else {
            bad.extend_from_slice(&noise);
        }
        overwrite(&fs, was, &bad);
        let mut journal = Journal::new(&maildir(&fs));
        look(&mut journal, &messages(&[1]));
        // A cut may fall between two frames.
        prop_assert!(highest(&journal) > told || bad.len() < good.len() || bad == good);
        prop_assert_eq!(journal.mod_seq(uid(3)), None);
    }

    /// What two who write by turns know is what really is, and every change is found out by its number.
    #[test]
    fn nobody_misses_anything(steps in proptest::collection::vec((0..6_u8, any::<u8>(), any::<bool>()), 1..60)) {
        let fs = SimulatedFs::new();
        let mut journals = [Journal::new(&maildir(&fs)), Journal::new(&maildir(&fs))];
        let mut there: Messages = Vec::new();
        let mut next = 1;
        // What a client knows, and up to where.
        let (mut known, mut told): (Messages, u64) = (Vec::new(), 0);
        for (kind, which, second) in steps {
            let journal = &mut journals[usize::from(second)];
            let at = if there.is_empty() { 0 } else { usize::from(which) % there.len() };
            match kind {
                0 => {
                    there.push((uid(next), Flags::NONE));
                    next += 1 + u32::from(which % 2);
                }
                1 if !there.is_empty() => drop(there.remove(at)),
                2 if !there.is_empty() => there[at].1 = Flags::keyword(which % 26).unwrap(),
                3 if !there.is_empty() => {
                    // One of us, who looked before.
                    look(journal, &there);
                    journal.lock().unwrap();
                    there[at].1 = Flags::FLAGGED;
                    journal.flags_changed(&there[at..=at]);
                    journal.unlock();
                }
                4 if !there.is_empty() => {
                    look(journal, &there);
                    journal.lock().unwrap();
                    let (gone, _) = there.remove(at);
                    journal.expunged(&[gone]);
                    journal.unlock();
                }
                _ => *journal = Journal::new(&maildir(&fs)),
            }
            look(journal, &there);
            prop_assert!(journal.trouble().is_none());
            if which % 3 == 0 {
                match journal.gone_since(told) {
                    Some(gone) => known.retain(|(uid, _)| !gone.iter().any(|(first, last)| (first..=last).contains(&uid))),
                    None => known.retain(|(uid, _)| there.iter().any(|(there, _)| there == uid)),
                }
                for (uid, flags) in there.iter().filter(|(uid, _)| journal.mod_seq(*uid) > Some(told)) {
                    known.retain(|(known, _)| known != uid);
                    known.push((*uid, *flags));
                }
                known.sort_by_key(|(uid, _)| *uid);
                prop_assert!(highest(journal) >= told);
                told = highest(journal);
                prop_assert_eq!(&known, &there);
            }
        }
    }
}
