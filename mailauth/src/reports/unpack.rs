//! Taking documents out of gzip (RFC 1952) and zip files, within bounds: a few octets of either can stand for gigabytes.

use alloc::borrow::Cow;
use alloc::vec::Vec;
use std::io::{Read, Write as _};

use flate2::bufread::{DeflateDecoder, GzDecoder};
use flate2::write::GzEncoder;
use flate2::{Compression, Crc};

/// What is unpacked at most.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct UnpackLimits {
    /// Octets of the document. 32 MiB: a report of 50,000 records has about 30.
    pub octets_max: usize,
    /// How many times longer than its packed form a document may be, once it has more than 1 MiB. 200: reports get 10 to
    /// 100 times shorter, bombs 1000 times.
    pub ratio_max: usize,
    /// Entries of a zip file that are looked at, and members that a gzip file may have. 16: reports come alone, and each
    /// member costs as much as some kilobytes do, but has only twenty octets.
    pub entries_max: usize,
}

impl Default for UnpackLimits {
    fn default() -> Self {
        UnpackLimits { octets_max: 32 << 20, ratio_max: 200, entries_max: 16 }
    }
}

/// Up to this length the ratio means nothing: a short report about one address a thousand times packs well.
const RATIO_FREE: usize = 1 << 20;

/// Why a document cannot be unpacked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum UnpackError {
    /// It would have more octets than the limit.
    #[error("the document is too long")]
    TooLong,
    /// It is more times longer than its packed form than the limit.
    #[error("the document is too many times longer than its packed form")]
    Ratio,
    /// The packed form is damaged, or ends early.
    #[error("the packed form is damaged")]
    Damaged,
    /// It is packed in a way that no report is: encrypted, in parts, or with another method.
    #[error("the document is packed in a way that is not supported")]
    Unsupported,
    /// The zip file holds no document.
    #[error("the zip file holds no document")]
    Empty,
}

/// Takes a document out of gzip or zip, which are told from plain text by their first octets, not by what a mail says about
/// them. What is neither is the document itself. Of a zip file it is the first entry whose name ends in `.xml`, or else the
/// first file.
///
/// ```
/// use pillarbox_auth::reports::{UnpackLimits, gzip, unpack};
///
/// let packed = gzip(b"<feedback/>");
/// assert_eq!(&*unpack(&packed, &UnpackLimits::default())?, b"<feedback/>");
/// assert_eq!(&*unpack(b"<feedback/>", &UnpackLimits::default())?, b"<feedback/>");
/// # Ok::<(), pillarbox_auth::reports::UnpackError>(())
/// ```
///
/// # Errors
///
/// [`UnpackError`] if there is none within the limits.
pub fn unpack<'p>(packed: &'p [u8], limits: &UnpackLimits) -> Result<Cow<'p, [u8]>, UnpackError> {
    match packed {
        [0x1f, 0x8b, ..] => unpack_gzip(packed, limits).map(Cow::Owned),
        [b'P', b'K', 3, 4, ..] => unpack_zip(packed, limits),
        _ if packed.len() > limits.octets_max => Err(UnpackError::TooLong),
        _ => Ok(Cow::Borrowed(packed)),
    }
}

/// Packs a document for an [`Attachment::Gzip`](super::aggregate::Attachment::Gzip). Equal documents get equal octets: no
/// time is written.
pub fn gzip(document: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    let written = encoder.write_all(document).and_then(|()| encoder.finish());
    written.expect("a vector takes what is written to it")
}

/// Members follow each other (RFC 1952 §2.2); what follows the last one is none of them, and is left.
fn unpack_gzip(mut packed: &[u8], limits: &UnpackLimits) -> Result<Vec<u8>, UnpackError> {
    let packed_len = packed.len();
    let mut document = Vec::new();
    let mut members = 0;
    while packed.starts_with(&[0x1f, 0x8b]) {
        members += 1;
        if members > limits.entries_max {
            return Err(UnpackError::Unsupported);
        }
        let mut decoder = GzDecoder::new(packed);
        read_within(&mut decoder, &mut document, packed_len, limits)?;
        packed = decoder.into_inner();
    }
    Ok(document)
}

/// Reads to the end, a step at a time, so that no more than a step is unpacked beyond a limit.
fn read_within(
    reader: &mut impl Read,
    document: &mut Vec<u8>,
    packed_len: usize,
    limits: &UnpackLimits,
) -> Result<(), UnpackError> {
    let mut step = [0; 8192];
    loop {
        let read = reader.read(&mut step).map_err(|_| UnpackError::Damaged)?;
        if read == 0 {
            return Ok(());
        }
        let len = document.len() + read;
        if len > limits.octets_max {
            return Err(UnpackError::TooLong);
        }
        if len > RATIO_FREE && len / limits.ratio_max.max(1) > packed_len {
            return Err(UnpackError::Ratio);
        }
        document.extend_from_slice(&step[..read]);
    }
}

/// The record at the end of a zip file, without its comment.
const END_LEN: usize = 22;
/// The longest comment behind it.
const COMMENT_MAX: usize = 65_535;

/// One file in a zip file, as the directory at its end tells it.
struct Entry<'z> {
    flags: u16,
    method: u16,
    crc: u32,
    packed_len: usize,
    name: &'z [u8],
    header_at: usize,
}

fn unpack_zip<'p>(zip: &'p [u8], limits: &UnpackLimits) -> Result<Cow<'p, [u8]>, UnpackError> {
    let entries = read_directory(zip, limits.entries_max)?;
    let is_xml = |entry: &&Entry<'_>| {
        let start = entry.name.len().saturating_sub(4);
        entry.name[start..].eq_ignore_ascii_case(b".xml")
    };
    let is_file = |entry: &&Entry<'_>| !entry.name.ends_with(b"/");
    let entry = entries.iter().find(is_xml).or_else(|| entries.iter().find(is_file)).ok_or(UnpackError::Empty)?;
    // Bit 0 is encryption, bit 6 a stronger one.
    if entry.flags & 0x41 != 0 {
        return Err(UnpackError::Unsupported);
    }
    // The directory is right about the lengths, which the header before the data may leave out; the data begins behind
    // that header, whose extra field has a length of its own.
    let header = zip.get(entry.header_at..).and_then(|rest| rest.split_at_checked(30)).ok_or(UnpackError::Damaged)?;
    if !header.0.starts_with(b"PK\x03\x04") {
        return Err(UnpackError::Damaged);
    }
    let skip = usize::from(u16_at(header.0, 26)) + usize::from(u16_at(header.0, 28));
    let packed = header.1.get(skip..).and_then(|rest| rest.get(..entry.packed_len)).ok_or(UnpackError::Damaged)?;
    let document = match entry.method {
        0 if packed.len() > limits.octets_max => return Err(UnpackError::TooLong),
        0 => Cow::Borrowed(packed),
        8 => {
            let mut document = Vec::new();
            read_within(&mut DeflateDecoder::new(packed), &mut document, packed.len(), limits)?;
            Cow::Owned(document)
        }
        _ => return Err(UnpackError::Unsupported),
    };
    let mut crc = Crc::new();
    crc.update(&document);
    if crc.sum() == entry.crc { Ok(document) } else { Err(UnpackError::Damaged) }
}

fn read_directory(zip: &[u8], entries_max: usize) -> Result<Vec<Entry<'_>>, UnpackError> {
    let window = zip.len().saturating_sub(END_LEN + COMMENT_MAX);
    let end_at = window + memchr::memmem::rfind(&zip[window..], b"PK\x05\x06").ok_or(UnpackError::Damaged)?;
    let end = zip.get(end_at..end_at + END_LEN).ok_or(UnpackError::Damaged)?;
    let (count, at) = (u16_at(end, 10), u32_at(end, 16));
    // What a file of more than 4 GiB has in its place.
    if at == u32::MAX {
        return Err(UnpackError::Unsupported);
    }
    let mut rest = zip.get(as_len(at)..end_at).ok_or(UnpackError::Damaged)?;
    let mut entries = Vec::new();
    for _ in 0..usize::from(count).min(entries_max) {
        let (fixed, after) = rest.split_at_checked(46).ok_or(UnpackError::Damaged)?;
        if !fixed.starts_with(b"PK\x01\x02") {
            return Err(UnpackError::Damaged);
        }
        let name_len = usize::from(u16_at(fixed, 28));
        let skip = name_len + usize::from(u16_at(fixed, 30)) + usize::from(u16_at(fixed, 32));
        entries.push(Entry {
            flags: u16_at(fixed, 8),
            method: u16_at(fixed, 10),
            crc: u32_at(fixed, 16),
            packed_len: as_len(u32_at(fixed, 20)),
            name: after.get(..name_len).ok_or(UnpackError::Damaged)?,
            header_at: as_len(u32_at(fixed, 42)),
        });
        rest = after.get(skip..).ok_or(UnpackError::Damaged)?;
    }
    Ok(entries)
}

/// A length of a file in memory; one that no memory holds is longer than any file.
fn as_len(value: u32) -> usize {
    usize::try_from(value).unwrap_or(usize::MAX)
}

/// Numbers in zip files have their low octet first. The caller knows that they are there.
fn u16_at(octets: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([octets[at], octets[at + 1]])
}

fn u32_at(octets: &[u8], at: usize) -> u32 {
    u32::from(u16_at(octets, at)) | u32::from(u16_at(octets, at + 2)) << 16
}
