//! The format of the log, version 1, byte by byte. Numbers are little endian; checksums are CRC-32 (IEEE 802.3, as in zlib).
//!
//! # Folders
//!
//! | name | what |
//! |---|---|
//! | `lock` | held by the process that uses the spool |
//! | `log/NNNNNNNNNNNNNNNN.SSSSSSSSSSSSSSSS` | segments: number and salt, each as 16 hexadecimal digits |
//! | `bodies/ID` | bodies that are too large for the log, by the name of their message |
//! | `set-aside/` | what could not be read |
//! | `incomplete` | an empty file, there while records of messages may be missing: bodies of nobody are moved, not removed |
//!
//! # Segment
//!
//! A header of 56 octets, then groups without a gap. Every version begins with the first 12 of these octets and has the checksum
//! of the first 52 where this one has it.
//!
//! | offset | length | what |
//! |---|---|---|
//! | 0 | 8 | `PBXSPOOL` |
//! | 8 | 4 | version: 1 |
//! | 12 | 8 | number of the segment, from 1 |
//! | 20 | 8 | salt, drawn by lot |
//! | 28 | 8 | floor: the first segment that still counts; those below it are left over |
//! | 36 | 8 | number of the segment before; 0 if there is none. Numbers between were never used |
//! | 44 | 8 | where that one ends: what stands there behind this offset was never accepted |
//! | 52 | 4 | checksum of the 52 octets before |
//!
//! Segments below the floor are deleted in the order of their numbers, the name of each durably before the next one goes: so those
//! that are there follow each other, also after a power cut that brings a name back. Where the disk does not give the newest
//! segment, and with it the floor, such a segment may be read once more; what became of its messages stands in those behind it. What
//! stood in the newest one alone is not known then: a recipient whose outcome that was is tried again.
//!
//! Every frame in the segment begins with its salt. Whoever looks for the next frame behind damage looks for the salt, which no
//! sender of mail knows, so that no message can pass off a part of its text as a frame.
//!
//! # Group
//!
//! What was written and synced at once: all of it counts, or nothing. A header of 36 octets, then records without a gap.
//!
//! | offset | length | what |
//! |---|---|---|
//! | 0 | 8 | salt |
//! | 8 | 1 | 0 |
//! | 9 | 3 | 0 |
//! | 12 | 4 | octets of records |
//! | 16 | 8 | where the last synced group ends, which is where this one begins |
//! | 24 | 4 | the checksum at the end of that group's header; of the segment header for the first one |
//! | 28 | 4 | checksum of the headers of all records, one after the other |
//! | 32 | 4 | checksum of the 32 octets before |
//!
//! No group is written before the sync of the one before it has returned. A group with another one behind it, or below the end
//! that the next segment names, was therefore synced: where it cannot be read, something was damaged. Only the last group may be
//! torn, and whoever waited for it has no answer.
//!
//! # Record
//!
//! A header of 32 octets, then the fields, then the body.
//!
//! | offset | length | what |
//! |---|---|---|
//! | 0 | 8 | salt |
//! | 8 | 1 | kind |
//! | 9 | 3 | 0 |
//! | 12 | 4 | octets of fields |
//! | 16 | 4 | octets of body |
//! | 20 | 4 | checksum of the fields |
//! | 24 | 4 | checksum of the body |
//! | 28 | 4 | checksum of the 28 octets before |
//!
//! | kind | what | fields |
//! |---|---|---|
//! | 1 | a message is accepted | 1 to 12 |
//! | 2 | a message is carried forward, with all that was known of it | 1 to 15, 128, 129 |
//! | 3 | news about recipients | 1, 16, 17 |
//! | 4 | the message is held | 1 |
//! | 5 | it is released | 1 |
//! | 6 | it is deleted, or was set aside | 1 |
//!
//! # Fields
//!
//! A field is its number (1 octet), its length (4), and that many octets. Fields from 128 on may be skipped by a reader that does
//! not know them; a record with another one that it does not know cannot be read. A *date* is seconds since 1970 in UTC (8,
//! signed) and the offset of the zone in seconds (4, signed).
//!
//! | field | what |
//! |---|---|
//! | 1 | name of the message (10) |
//! | 2 | when it was received: date |
//! | 3 | reverse path with `<` and `>` |
//! | 4 | a recipient, once for each: fields 1 forward path with `<` and `>`, 2 NOTIFY (1: 1 success, 2 failure, 4 delay), 3 type and 4 address of ORCPT |
//! | 5 | ENVID |
//! | 6 | RET (1): 0 FULL, 1 HDRS |
//! | 7 | BODY (1): 0 7BIT, 1 8BITMIME, 2 BINARYMIME |
//! | 8 | flags (1): 1 SMTPUTF8, 2 REQUIRETLS, 4 brought by one of ours, 8 a notice about a notice, 16 stays in mailboxes |
//! | 9 | not before: date |
//! | 10 | deliver by: date, mode (1: 0 notify, 1 return), trace (1) |
//! | 11 | priority (1, signed) |
//! | 12 | the body has a file of its own: length (8), checksum (4) |
//! | 13 | held (1) |
//! | 14 | state of a recipient, once for each that has one: fields 1 recipient (4), outcome (1), notices (1: 1 success, 2 failure, 4 delay), attempts (4); 2 an attempt |
//! | 15 | reports so far (4), seconds of the last one (8, signed) |
//! | 16 | where the report before this one is: segment (8), offset (8); the first one has none |
//! | 17 | news of a recipient: fields 1 recipient (4), notices (1); 2 an attempt |
//! | 128 | released, and somebody not tried since (1) |
//! | 129 | beside 128, who was tried since: a bit for each recipient, the lowest of the first octet for the first |
//!
//! An attempt is: 1 when it ended, a date; 2 outcome (1: 1 delivered, 2 relayed, 3 expanded, 4 failed, 5 delayed); 3 peer; 4 code
//! (2); 5 enhanced code (1, 2, 2); 6 text.

pub(crate) mod fields;
pub(crate) mod frame;
pub(crate) mod record;

/// The octets are not what they should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Malformed(pub(crate) &'static str);
