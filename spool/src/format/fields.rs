//! Fields of records: a number, a length, octets.

use pillarbox_core::WallTime;

use super::Malformed;

/// Fields that are put together.
#[derive(Debug, Default)]
pub(crate) struct Writer(Vec<u8>);

impl Writer {
    pub(crate) fn new() -> Self {
        Writer(Vec::new())
    }

    pub(crate) fn put(&mut self, number: u8, octets: &[u8]) {
        self.0.push(number);
        // Longer ones are refused before, with the record.
        self.0.extend_from_slice(&u32::try_from(octets.len()).unwrap_or(u32::MAX).to_le_bytes());
        self.0.extend_from_slice(octets);
    }

    pub(crate) fn put_date(&mut self, number: u8, date: WallTime) {
        self.put(number, &date_octets(date));
    }

    pub(crate) fn finish(self) -> Vec<u8> {
        self.0
    }
}

pub(crate) fn date_octets(date: WallTime) -> [u8; 12] {
    let mut octets = [0; 12];
    octets[..8].copy_from_slice(&date.unix_seconds().to_le_bytes());
    octets[8..].copy_from_slice(&date.offset_seconds().to_le_bytes());
    octets
}

/// The octets of a field, taken from the front.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(crate) fn new(octets: &'a [u8]) -> Self {
        Reader(octets)
    }

    /// The next field; `None` at the end.
    pub(crate) fn next_field(&mut self) -> Result<Option<(u8, Reader<'a>)>, Malformed> {
        if self.0.is_empty() {
            return Ok(None);
        }
        let number = self.u8()?;
        let length = usize::try_from(self.u32()?).map_err(|_| Malformed("a field is too long"))?;
        Ok(Some((number, Reader(self.take(length)?))))
    }

    pub(crate) fn take(&mut self, length: usize) -> Result<&'a [u8], Malformed> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(Malformed("a field is cut short"))?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        Ok(self.take(N)?.try_into().expect("as many as were taken"))
    }

    pub(crate) fn u8(&mut self) -> Result<u8, Malformed> {
        self.array().map(|[octet]| octet)
    }

    pub(crate) fn u16(&mut self) -> Result<u16, Malformed> {
        self.array().map(u16::from_le_bytes)
    }

    pub(crate) fn u32(&mut self) -> Result<u32, Malformed> {
        self.array().map(u32::from_le_bytes)
    }

    pub(crate) fn u64(&mut self) -> Result<u64, Malformed> {
        self.array().map(u64::from_le_bytes)
    }

    pub(crate) fn i64(&mut self) -> Result<i64, Malformed> {
        self.array().map(i64::from_le_bytes)
    }

    pub(crate) fn octets<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        self.array()
    }

    pub(crate) fn date(&mut self) -> Result<WallTime, Malformed> {
        let seconds = self.i64()?;
        let offset = self.array().map(i32::from_le_bytes)?;
        Ok(WallTime::new(seconds, offset))
    }

    pub(crate) fn text(&mut self) -> Result<String, Malformed> {
        let octets = std::mem::take(&mut self.0);
        str::from_utf8(octets).map(str::to_owned).map_err(|_| Malformed("a text is not UTF-8"))
    }

    pub(crate) fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.0)
    }
}
