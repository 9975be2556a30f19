//! The client's end of connections that dialog files are played on.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use pillarbox::testing::SteppedClock;
use pillarbox_core::dialog::Stream;

/// TLS on a client's socket.
struct TlsStream(rustls::StreamOwned<rustls::ClientConnection, TcpStream>);

impl Read for TlsStream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

impl Write for TlsStream {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        self.0.write(octets)
    }
    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

impl Stream for TlsStream {
    fn end(&mut self) -> io::Result<()> {
        self.0.conn.send_close_notify();
        self.0.flush()?;
        self.0.sock.shutdown(std::net::Shutdown::Write)
    }
}

/// A client's socket that can be put under TLS.
struct Plain(TcpStream, Client);

/// What a client needs beside its socket.
#[derive(Clone)]
pub struct Client {
    pub tls: Arc<rustls::ClientConfig>,
    pub clock: SteppedClock,
    pub runtime: tokio::runtime::Handle,
}

impl Read for Plain {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

impl Write for Plain {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        self.0.write(octets)
    }
    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

impl Stream for Plain {
    fn end(&mut self) -> io::Result<()> {
        self.0.end()
    }
    fn start_layer(mut self: Box<Self>, layer: &str) -> io::Result<Box<dyn Stream>> {
        let patience = Duration::from_secs(30);
        if layer == "deflate started" {
            return Ok(Box::new(DeflatedStream::new(self.0)));
        }
        match layer.split_once("failed") {
            None => return Ok(Box::new(start_tls(self.0, self.1.tls))),
            Some((_, " timeout")) => {
                self.1.runtime.block_on(self.1.clock.sleeper(patience));
                self.1.clock.advance(patience);
            }
            Some(_) => self.0.write_all(b"this is no handshake\r\n")?,
        }
        Ok(Box::new(Failed(self.0)))
    }
}

/// DEFLATE on a client's socket.
struct DeflatedStream {
    socket: TcpStream,
    inflate: flate2::read::DeflateDecoder<TcpStream>,
    deflate: flate2::Compress,
}

impl DeflatedStream {
    fn new(socket: TcpStream) -> Self {
        let inflate = flate2::read::DeflateDecoder::new(socket.try_clone().unwrap());
        DeflatedStream { socket, inflate, deflate: flate2::Compress::new(flate2::Compression::best(), false) }
    }
}

impl Read for DeflatedStream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.inflate.read(buffer) {
            // A server closes without an end of its stream.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(0),
            read => read,
        }
    }
}

impl Write for DeflatedStream {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        let mut packed = Vec::with_capacity(octets.len() + 1024);
        self.deflate.compress_vec(octets, &mut packed, flate2::FlushCompress::Sync)?;
        self.socket.write_all(&packed)?;
        Ok(octets.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        self.socket.flush()
    }
}

impl Stream for DeflatedStream {
    fn end(&mut self) -> io::Result<()> {
        self.socket.end()
    }
}

/// A connection after a handshake that failed: what still comes is an alert for the layer, and then the end.
struct Failed(TcpStream);

impl Read for Failed {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        let mut alert = Vec::new();
        self.0.read_to_end(&mut alert)?;
        // Nothing in clear text.
        assert!(alert.is_empty() || alert[0] == 21, "{}", alert.escape_ascii());
        Ok(0)
    }
}

impl Write for Failed {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        self.0.write(octets)
    }
    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

impl Stream for Failed {
    fn end(&mut self) -> io::Result<()> {
        self.0.end()
    }
}

fn start_tls(socket: TcpStream, config: Arc<rustls::ClientConfig>) -> TlsStream {
    let connection = rustls::ClientConnection::new(config, crate::tls::name()).unwrap();
    TlsStream(rustls::StreamOwned::new(connection, socket))
}

/// A client's end of a connection, under TLS where that comes first.
pub fn connect(address: SocketAddr, client: Client, implicit: bool) -> io::Result<Box<dyn Stream>> {
    let socket = TcpStream::connect(address)?;
    socket.set_read_timeout(Some(Duration::from_secs(10)))?;
    Ok(match implicit {
        true => Box::new(start_tls(socket, client.tls)),
        false => Box::new(Plain(socket, client)),
    })
}

/// The dialog files in a folder and those below it.
pub fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => files(&path, found),
            false if path.extension().is_some_and(|extension| extension == "dialog") => found.push(path),
            false => {}
        }
    }
}
