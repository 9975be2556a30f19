//! Mail bodies on the wire: the dots of DATA (RFC 5321 §4.5.2) and bare newlines.

use alloc::vec::Vec;

/// What happens to a CR or LF that is no part of a CRLF (RFC 5321 §2.3.8 forbids both).
///
/// Neither value lets one end a body or a line: that is how a second message is smuggled behind the first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum BareNewlines {
    /// A bare LF becomes CRLF, a bare CR becomes a space.
    // Deviates from RFC 5321 §2.3.8: because mail from old programs holds them, and repaired they harm nobody.
    #[default]
    Repair,
    /// The body is eaten to its end but no longer shown, and [`DotDecoder::is_refused`] says so.
    Reject,
}

/// Takes the body of DATA off the wire: removes the dots that the client put in, finds the end, and treats bare newlines
/// as it was told.
///
/// Only CRLF `.` CRLF ends a body, and `.` CRLF directly behind the 354 (RFC 5321 §4.1.1.4). Only what follows a CRLF is the
/// start of a line: a dot behind a bare LF or CR is an octet as any other.
///
/// ```
/// use pillarbox_core::dot::{BareNewlines, DotDecoder, Piece};
///
/// let mut decoder = DotDecoder::new(BareNewlines::Repair);
/// let mut input = &b"one\r\n..two\n.\r\n.\r\nQUIT\r\n"[..];
/// let mut body = Vec::new();
/// while let Piece::Body(slice) = decoder.decode(&mut input) {
///     body.extend_from_slice(slice);
/// }
/// assert!(decoder.is_ended());
/// assert_eq!(body, b"one\r\n.two\r\n.\r\n");
/// assert_eq!(input, b"QUIT\r\n");
/// ```
#[derive(Clone, Debug)]
pub struct DotDecoder {
    state: State,
    bare_newlines: BareNewlines,
    saw_bare: bool,
    /// The octet that is special at the start of a line; see [`is_clean`].
    special: u8,
}

/// What [`DotDecoder::decode`] came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Piece<'b> {
    /// The next octets of the body, never none: a slice of the input, or a repaired newline.
    Body(&'b [u8]),
    /// All of the input was used.
    NeedInput,
    /// The body has ended. What is left in the input is not part of it.
    End,
}

/// What was seen before the input. Octets that cannot be judged without the next one were taken from the input and are
/// known by the state alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// The start of the body, or behind CRLF.
    LineStart,
    /// Behind any other octet.
    InLine,
    /// A CR that was not shown yet.
    Cr,
    /// A dot at the start of a line: stuffed, or half of the end.
    Dot,
    /// The same with a CR behind it.
    DotCr,
    End,
}

impl DotDecoder {
    /// A decoder for the body of DATA.
    pub const fn new(bare_newlines: BareNewlines) -> Self {
        DotDecoder { state: State::LineStart, bare_newlines, saw_bare: false, special: b'.' }
    }

    /// A decoder for the chunks of BDAT without BINARYMIME (RFC 3030 §2): dots are octets as any other, and only bare
    /// newlines are treated. The caller counts the octets, shows chunk after chunk, and ends with
    /// [`finish`](DotDecoder::finish).
    ///
    /// ```
    /// use pillarbox_core::dot::{BareNewlines, DotDecoder, Piece};
    ///
    /// let mut decoder = DotDecoder::for_chunks(BareNewlines::Repair);
    /// let mut chunk = &b".\r\n..a\r"[..];
    /// assert_eq!(decoder.decode(&mut chunk), Piece::Body(b".\r\n..a"));
    /// assert_eq!(decoder.decode(&mut chunk), Piece::NeedInput);
    /// assert_eq!(decoder.finish(), Piece::Body(b" "));
    /// assert_eq!(decoder.finish(), Piece::End);
    /// ```
    pub const fn for_chunks(bare_newlines: BareNewlines) -> Self {
        DotDecoder { state: State::LineStart, bare_newlines, saw_bare: false, special: NOT_SPECIAL }
    }

    /// Gives the next piece of the body and advances `input` past what was used. Call it until it gives no
    /// [`Piece::Body`].
    ///
    /// Every octet is used at once: at [`Piece::NeedInput`] the input is empty, and octets that were held back follow
    /// with the next call. The pieces put together are the same however the input was cut.
    pub fn decode<'b>(&mut self, input: &mut &'b [u8]) -> Piece<'b> {
        loop {
            let piece = self.step(input);
            // Reject: what follows the first bare newline is nobody's business any more.
            if !matches!(piece, Piece::Body(_)) || !self.is_refused() {
                return piece;
            }
        }
    }

    fn step<'b>(&mut self, input: &mut &'b [u8]) -> Piece<'b> {
        loop {
            let bytes: &'b [u8] = input;
            let Some(&first) = bytes.first() else {
                return if self.state == State::End { Piece::End } else { Piece::NeedInput };
            };
            match (self.state, first) {
                (State::End, _) => return Piece::End,
                (State::Cr, b'\n') => {
                    *input = &bytes[1..];
                    self.state = State::LineStart;
                    return Piece::Body(b"\r\n");
                }
                (State::DotCr, b'\n') => {
                    *input = &bytes[1..];
                    self.state = State::End;
                    return Piece::End;
                }
                // The dot of `.` CR without LF was stuffed, and the CR is a bare one.
                (State::Cr | State::DotCr, _) => {
                    self.state = State::InLine;
                    self.saw_bare = true;
                    return Piece::Body(b" ");
                }
                (State::Dot, b'\r') => {
                    *input = &bytes[1..];
                    self.state = State::DotCr;
                }
                // RFC 5321 §4.5.2: the first of the line's dots goes.
                (State::Dot, _) => self.state = State::InLine,
                (State::LineStart, b'.') if self.special == b'.' => {
                    *input = &bytes[1..];
                    self.state = State::Dot;
                }
                (State::LineStart | State::InLine, b'\n') => {
                    *input = &bytes[1..];
                    self.state = State::InLine;
                    self.saw_bare = true;
                    return Piece::Body(b"\r\n");
                }
                (State::LineStart | State::InLine, _) => {
                    let run = clean_run(bytes, self.special);
                    if run == 0 {
                        // A CR that its follower, if there is one, does not make a line end.
                        *input = &bytes[1..];
                        self.state = State::Cr;
                        continue;
                    }
                    *input = &bytes[run..];
                    self.state = after(bytes[run - 1]);
                    return Piece::Body(&bytes[..run]);
                }
            }
        }
    }

    /// Ends a body whose end is not in the octets (BDAT LAST): gives the last repaired octet if one is held back, then
    /// [`Piece::End`].
    pub const fn finish(&mut self) -> Piece<'static> {
        let held = matches!(self.state, State::Cr | State::DotCr);
        self.state = State::End;
        if !held {
            return Piece::End;
        }
        self.saw_bare = true;
        if self.is_refused() { Piece::End } else { Piece::Body(b" ") }
    }

    /// Whether a bare CR or LF was seen so far.
    pub const fn saw_bare(&self) -> bool {
        self.saw_bare
    }

    /// Whether a bare CR or LF was seen that [`BareNewlines::Reject`] forbids: the reply to the body is 550 5.5.2.
    pub const fn is_refused(&self) -> bool {
        self.saw_bare && matches!(self.bare_newlines, BareNewlines::Reject)
    }

    /// Whether the body has ended.
    pub const fn is_ended(&self) -> bool {
        matches!(self.state, State::End)
    }
}

/// Puts a body on the wire for DATA: stuffs dots, repairs bare newlines, ends with CRLF `.` CRLF (RFC 5321 §4.5.2).
///
/// The output holds no bare CR or LF whatever the body holds, so nothing in a stored message can end it early.
///
/// Lines keep their length, those of more than 998 octets too: RFC 5321 §4.5.3.1 lets a client try them, and a server that
/// cannot take them says so to the sender. Broken ones would be another message, with signatures (RFC 6376) that fail and
/// nobody to tell why.
///
/// ```
/// use pillarbox_core::dot::DotEncoder;
///
/// let (mut encoder, mut out) = (DotEncoder::new(), Vec::new());
/// assert_eq!(encoder.encode(b"one\n.two", &mut out, 100), 8);
/// encoder.finish(&mut out);
/// assert_eq!(out, b"one\r\n..two\r\n.\r\n");
/// ```
#[derive(Clone, Debug)]
pub struct DotEncoder {
    state: State,
}

impl Default for DotEncoder {
    fn default() -> Self {
        DotEncoder::new()
    }
}

impl DotEncoder {
    /// The most octets that [`finish`](DotEncoder::finish) adds.
    pub const FINISH_MAX: usize = 6;

    /// An encoder at the start of a body.
    pub const fn new() -> Self {
        DotEncoder { state: State::LineStart }
    }

    /// Appends the encoded form of `chunk` to `out`, at most `room` octets, and tells how many octets of `chunk` were used.
    /// Call it again with the rest when there is room; with a room of 2 or more it always goes on.
    pub fn encode(&mut self, chunk: &[u8], out: &mut Vec<u8>, room: usize) -> usize {
        let room_end = out.len().saturating_add(room);
        let mut used = 0;
        loop {
            let rest = &chunk[used..];
            let room = room_end - out.len();
            let Some(&first) = rest.first() else { return used };
            match (self.state, first) {
                (State::Cr, b'\n') | (State::LineStart | State::InLine, b'\n') => {
                    if room < 2 {
                        return used;
                    }
                    out.extend_from_slice(b"\r\n");
                    used += 1;
                    // Whatever made the line end, on the wire it is a CRLF, so a dot behind it needs another.
                    self.state = State::LineStart;
                }
                (State::Cr, _) => {
                    if room < 1 {
                        return used;
                    }
                    out.push(b' ');
                    self.state = State::InLine;
                }
                // RFC 5321 §4.5.2
                (State::LineStart, b'.') => {
                    if room < 1 {
                        return used;
                    }
                    out.push(b'.');
                    self.state = State::InLine;
                }
                _ => {
                    // No further than there is room for, and one octet that tells whether a CR there is half of a CRLF.
                    let mut run = clean_run(&rest[..rest.len().min(room.saturating_add(1))], b'.');
                    if run == 0 {
                        used += 1;
                        self.state = State::Cr;
                        continue;
                    }
                    if run > room {
                        // A CRLF is not cut in two: its LF would look bare.
                        run = if room > 0 && rest[room - 1] == b'\r' { room - 1 } else { room };
                        if run == 0 {
                            return used;
                        }
                    }
                    out.extend_from_slice(&rest[..run]);
                    used += run;
                    self.state = after(rest[run - 1]);
                }
            }
        }
    }

    /// Appends what is held back, a CRLF if the last line has none, and the end mark: at most
    /// [`FINISH_MAX`](DotEncoder::FINISH_MAX) octets. The encoder is then ready for another body.
    pub fn finish(&mut self, out: &mut Vec<u8>) {
        if self.state == State::Cr {
            out.push(b' ');
        }
        if self.state != State::LineStart {
            out.extend_from_slice(b"\r\n");
        }
        out.extend_from_slice(b".\r\n");
        self.state = State::LineStart;
    }
}

/// The state behind a clean run that ends in `last`: an LF in a clean run is always part of a CRLF.
const fn after(last: u8) -> State {
    if last == b'\n' { State::LineStart } else { State::InLine }
}

/// Stands in for the dot where nothing is special at the start of a line: LF behind LF is bare anyway.
const NOT_SPECIAL: u8 = b'\n';

/// Whether `first` and `second`, neighbours in a body, can be sent through as they are: no CR without LF, no LF without CR,
/// nothing special behind an LF. Without branches, so that the compiler makes vector code of the loops below.
#[inline(always)]
const fn is_trouble(first: u8, second: u8, special: u8) -> bool {
    ((first == b'\r') ^ (second == b'\n')) | ((first == b'\n') & (second == special))
}

/// Whether no pair of neighbours in `bytes` is trouble.
#[inline(always)]
fn is_clean(bytes: &[u8], special: u8) -> bool {
    let mut trouble = false;
    for (first, second) in bytes.iter().zip(&bytes[1..]) {
        trouble |= is_trouble(*first, *second, special);
    }
    !trouble
}

/// The length of the run at the front of `bytes` that needs no change. `bytes` is not empty and does not start with LF (nor,
/// at the start of a line, with the special octet). A CR at the end is left out, because its follower is not known.
///
/// The run is checked in blocks that grow while all is clean, so that mail with few dots goes at the speed of memory and a
/// dot on every line wastes little.
fn clean_run(bytes: &[u8], special: u8) -> usize {
    const BLOCK_MIN: usize = 64;
    const BLOCK_MAX: usize = 4096;
    let mut block = BLOCK_MIN;
    let mut at = 0;
    loop {
        // Blocks overlap in one octet, so that every pair is in one of them.
        let end = bytes.len().min(at + block + 1);
        if !is_clean(&bytes[at..end], special) {
            break;
        }
        if end == bytes.len() {
            return end - usize::from(bytes[end - 1] == b'\r');
        }
        at = end - 1;
        block = BLOCK_MAX.min(block * 2);
    }
    // The first trouble is in this block.
    while bytes.len() > at + 17 && is_clean(&bytes[at..at + 17], special) {
        at += 16;
    }
    let place = at + first_trouble(&bytes[at..], special);
    // A bare CR is not part of the run; what stands before a bare LF or behind a CRLF is.
    place + usize::from(bytes[place] != b'\r')
}

/// The place of the first of two neighbours in `bytes` that are trouble; there are such.
fn first_trouble(bytes: &[u8], special: u8) -> usize {
    let mut at = 0;
    while let (Some(first), Some(second)) = (bytes[at..].first_chunk(), bytes[at + 1..].first_chunk()) {
        // Eight pairs at once, each in the highest bit of its octet, the first pair lowest.
        let (first, second) = (u64::from_le_bytes(*first), u64::from_le_bytes(*second));
        let unpaired = equal(first, b'\r') ^ equal(second, b'\n');
        let trouble = unpaired | (equal(first, b'\n') & equal(second, special));
        if trouble != 0 {
            return at + (trouble.trailing_zeros() / 8) as usize;
        }
        at += 8;
    }
    let mut pairs = bytes[at..].windows(2);
    let found = pairs.position(|pair| is_trouble(pair[0], pair[1], special));
    at + found.expect("a block that is not clean holds a pair that is trouble")
}

/// The highest bit of each octet in eight that has this value.
const fn equal(eight: u64, octet: u8) -> u64 {
    const EACH: u64 = 0x0101_0101_0101_0101;
    const LOW: u64 = 0x7f * EACH;
    let others = eight ^ (EACH * octet as u64);
    // Seven bits of each, so that no sum carries into the next octet.
    !((others & LOW).wrapping_add(LOW) | others) & !LOW
}
