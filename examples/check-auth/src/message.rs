//! Messages: read in pieces, with CRLF at the end of each line.

use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::path::Path;

use crate::Trouble;

const PIECE: usize = 64 * 1024;

/// A message on its way in.
pub struct Incoming {
    source: Box<dyn Read>,
    name: String,
}

/// Opens a file; `-` is the standard input.
pub fn open(path: &Path) -> Result<Incoming, Trouble> {
    let name = path.display().to_string();
    let source: Box<dyn Read> = if name == "-" {
        Box::new(io::stdin())
    } else {
        Box::new(File::open(path).map_err(|error| format!("{name}: {error}"))?)
    };
    Ok(Incoming { source, name })
}

impl Incoming {
    /// Gives all of the message away in pieces. A line end that is LF alone becomes CRLF, as it is in mail and in what is
    /// signed.
    pub fn for_each(mut self, mut write: impl FnMut(&[u8]) -> io::Result<()>) -> Result<(), Trouble> {
        let mut read = || -> io::Result<()> {
            let mut piece = vec![0; PIECE];
            let mut last = 0;
            loop {
                let length = match self.source.read(&mut piece) {
                    Ok(0) => return Ok(()),
                    Ok(length) => length,
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                    Err(error) => return Err(error),
                };
                for line in piece[..length].split_inclusive(|octet| *octet == b'\n') {
                    let before = line.len().checked_sub(2).map_or(last, |before| line[before]);
                    match line.strip_suffix(b"\n") {
                        Some(line) if before != b'\r' => {
                            write(line)?;
                            write(b"\r\n")?;
                        }
                        _ => write(line)?,
                    }
                    last = *line.last().unwrap_or(&last);
                }
            }
        };
        read().map_err(|error| format!("{}: {error}", self.name))
    }

    /// Gives all of the message away as [`for_each`](Incoming::for_each) does, and keeps it in a file without a name: it is
    /// to be written out again behind fields that are not known before its end.
    pub fn keep(self, mut write: impl FnMut(&[u8])) -> Result<File, Trouble> {
        let trouble = |error| format!("temporary file: {error}");
        let mut kept = io::BufWriter::with_capacity(PIECE, tempfile::tempfile().map_err(trouble)?);
        self.for_each(|piece| {
            write(piece);
            kept.write_all(piece)
        })?;
        let mut kept = kept.into_inner().map_err(|error| trouble(error.into_error()))?;
        kept.rewind().map_err(trouble)?;
        Ok(kept)
    }
}

/// Writes to the standard output; that its reader has gone is no trouble.
pub fn print(octets: &[u8]) -> Result<(), Trouble> {
    let mut out = io::stdout().lock();
    done(out.write_all(octets).and_then(|()| out.flush()))
}

/// Writes fields and the message behind them to the standard output.
pub fn print_with(fields: &str, mut message: File) -> Result<(), Trouble> {
    let mut out = io::stdout().lock();
    let written = out.write_all(fields.as_bytes()).and_then(|()| io::copy(&mut message, &mut out));
    done(written.and_then(|_| out.flush()))
}

fn done(written: io::Result<()>) -> Result<(), Trouble> {
    match written {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(format!("standard output: {error}")),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_ends_are_crlf_in_any_cut() {
        /// Gives octets one by one.
        struct Slow(&'static [u8]);
        impl Read for Slow {
            fn read(&mut self, piece: &mut [u8]) -> io::Result<usize> {
                let length = self.0.len().min(1);
                piece[..length].copy_from_slice(&self.0[..length]);
                self.0 = &self.0[length..];
                Ok(length)
            }
        }
        let message = b"A: b\nC: d\r\n\n\r\nx\ry\r\n.\n\nend";
        for source in [Box::new(&message[..]) as Box<dyn Read>, Box::new(Slow(message))] {
            let mut read = Vec::new();
            let incoming = Incoming { source, name: String::new() };
            incoming
                .for_each(|piece| {
                    read.extend_from_slice(piece);
                    Ok(())
                })
                .unwrap();
            assert_eq!(read, b"A: b\r\nC: d\r\n\r\n\r\nx\ry\r\n.\r\n\r\nend");
        }
    }
}
