//! What FETCH tells of a message, and what SORT and THREAD need of it, that a mailbox may keep, so that the message need not be opened again.

use pillarbox_core::header::Fields;
use pillarbox_imap::message::{self, Section, SectionText, Structure};
use pillarbox_imap::server::FetchItem;
use pillarbox_imap::sort::write_sort_keys;
use pillarbox_imap::thread::write_thread_keys;

use super::fetch::{Needs, is_whole, needs};
use crate::parts::Piece;

/// So many messages are asked for at a time.
pub(super) const AT_ONCE: usize = 32;

/// So many octets of a message are offered for keeping.
const KEPT_MAX: usize = 32 << 10;

/// Who asks for more fields, or fields with longer names, asks for no usual list of messages.
const FIELDS_MAX: usize = 64;
const NAME_MAX: usize = 64;

/// The pieces that say all that these items need to know from a message; `None` if they need none, or the message itself.
pub(super) fn wanted(items: &[FetchItem]) -> Option<Vec<Piece>> {
    let mut pieces = Vec::new();
    for item in items {
        match item {
            FetchItem::Envelope => pieces.push(Piece::Envelope),
            FetchItem::Body => pieces.push(Piece::Body),
            FetchItem::BodyStructure => pieces.push(Piece::BodyStructure),
            FetchItem::Preview { .. } => pieces.push(Piece::Preview),
            FetchItem::Section { section, .. } => {
                pieces.extend(field_names(section)?.into_iter().map(Piece::Field));
                pieces.push(Piece::HeaderEnd);
            }
            _ if needs(item) > Needs::Nothing || is_whole(item) => return None,
            _ => {}
        }
    }
    let mut unique: Vec<Piece> = Vec::with_capacity(pieces.len());
    for piece in pieces {
        if !unique.contains(&piece) {
            unique.push(piece);
        }
    }
    Some(unique).filter(|unique| !unique.is_empty() && unique.len() <= FIELDS_MAX)
}

/// The fields of the message's header that a section takes, each once, in small letters; `None` if it is another section.
fn field_names(section: &Section) -> Option<Vec<String>> {
    let SectionText::HeaderFields { names, not: false } = &section.text else { return None };
    if !section.path.is_empty() || names.len() > FIELDS_MAX || names.iter().any(|name| name.len() > NAME_MAX) {
        return None;
    }
    let mut names: Vec<String> = names.iter().map(|name| name.to_ascii_lowercase()).collect();
    names.sort_unstable();
    names.dedup();
    Some(names)
}

/// Whether the header alone tells it.
pub(super) fn is_of_header(piece: &Piece) -> bool {
    matches!(piece, Piece::Envelope | Piece::Field(_) | Piece::HeaderEnd | Piece::SortKeys | Piece::ThreadKeys)
}

/// Pieces of a message, each once, in this order. Of octets that end behind the header only those of the header are true.
pub(crate) fn compute<'a>(pieces: impl Iterator<Item = &'a Piece>, octets: &[u8]) -> Vec<(Piece, Vec<u8>)> {
    let limits = message::Limits::default();
    let structure = Structure::parse(octets, &limits);
    let mut computed: Vec<(Piece, Vec<u8>)> = Vec::new();
    for piece in pieces {
        if computed.iter().any(|(known, _)| known == piece) {
            continue;
        }
        let mut text = Vec::new();
        match piece {
            Piece::Envelope => {
                message::write_envelope(pillarbox_core::header::split(octets).0, &limits, &mut text);
            }
            Piece::Body => message::write_body(&structure, octets, &limits, false, &mut text),
            Piece::BodyStructure => message::write_body(&structure, octets, &limits, true, &mut text),
            Piece::SortKeys => write_sort_keys(octets, &mut text),
            Piece::ThreadKeys => write_thread_keys(octets, &mut text),
            Piece::Preview => text = message::preview(&structure, octets, &limits).into_bytes(),
            // All at once, below.
            _ => {}
        }
        computed.push((piece.clone(), text));
    }
    let section = Section { path: Vec::new(), text: SectionText::Header };
    let header = structure.section(octets, &section).map_or(0..0, |header| header.ranges().0[0].clone());
    let mut position = header.start;
    for field in Fields::new(&octets[header.clone()]) {
        let is_it = |piece: &Piece| match piece {
            Piece::Field(name) => name.as_bytes().eq_ignore_ascii_case(field.name),
            _ => false,
        };
        if let Some((_, text)) = computed.iter_mut().find(|(piece, _)| is_it(piece))
            && let (Ok(place), Ok(len)) = (u32::try_from(position), u32::try_from(field.raw.len()))
        {
            text.extend_from_slice(&place.to_le_bytes());
            text.extend_from_slice(&len.to_le_bytes());
            text.extend_from_slice(field.raw);
        }
        position += field.raw.len();
    }
    if let Some((_, text)) = computed.iter_mut().find(|(piece, _)| *piece == Piece::HeaderEnd) {
        let end = &octets[position..header.end];
        text.extend_from_slice(if end.is_empty() { b"\r\n" } else { end });
    }
    computed
}

/// Drops what a mailbox would find no room for, so that it does not wait in memory for others.
pub(super) fn keep_small(computed: &mut Vec<(Piece, Vec<u8>)>) {
    let mut sum = 0;
    computed.retain(|(_, octets)| {
        let fits = sum + octets.len() <= KEPT_MAX;
        sum += if fits { octets.len() } else { 0 };
        fits
    });
}

/// Pieces of a message that were kept.
pub(super) struct Kept<'a> {
    pub(super) pieces: &'a [Piece],
    /// In the same order.
    pub(super) octets: Vec<Vec<u8>>,
}

impl Kept<'_> {
    fn find(&self, wanted: &Piece) -> &[u8] {
        let found = self.pieces.iter().zip(&self.octets).find(|(piece, _)| *piece == wanted);
        found.map_or(&[], |(_, octets)| octets)
    }

    /// The text of ENVELOPE, BODY or BODYSTRUCTURE.
    pub(super) fn written(&self, item: &FetchItem) -> &[u8] {
        self.find(match item {
            FetchItem::Envelope => &Piece::Envelope,
            FetchItem::Body => &Piece::Body,
            _ => &Piece::BodyStructure,
        })
    }

    /// The beginning of the text; `None` if that was not asked for, because it is not at hand.
    pub(super) fn preview(&self) -> Option<&str> {
        let at = self.pieces.iter().position(|piece| *piece == Piece::Preview)?;
        std::str::from_utf8(self.octets.get(at)?).ok()
    }

    /// The fields that a section takes, in the order of the header.
    pub(super) fn fields(&self, section: &Section) -> Vec<u8> {
        let mut fields = Vec::new();
        for name in field_names(section).unwrap_or_default() {
            let mut rest = self.find(&Piece::Field(name));
            while let Some((head, behind)) = rest.split_first_chunk::<8>() {
                let (place, len) = (&head[..4], &head[4..]);
                let number = |octets: &[u8]| u32::from_le_bytes(octets.try_into().expect("four octets are four"));
                let Some((field, behind)) = behind.split_at_checked(number(len) as usize) else { break };
                fields.push((number(place), field));
                rest = behind;
            }
        }
        fields.sort_unstable_by_key(|(place, _)| *place);
        fields.push((u32::MAX, self.find(&Piece::HeaderEnd)));
        fields.into_iter().flat_map(|(_, field)| field).copied().collect()
    }
}
