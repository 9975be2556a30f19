//! Connections that come through a load balancer: its header is read before anything else.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use pillarbox_core::proxy::{ProxyError, ProxyHeader, ProxyReader, ProxyStep, V2_MAX};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{Timer, Transport};
use crate::net::input::Input;
use crate::parts::Clock;

/// Reads the header, and gives it with the connection behind it.
pub(super) async fn read_header(
    mut transport: Box<dyn Transport>,
    clock: &dyn Clock,
) -> Result<(ProxyHeader, Box<dyn Transport>), ProxyError> {
    let mut reader = ProxyReader::new(clock.now());
    let mut input = Input::default();
    loop {
        let mut unread = input.unread();
        match reader.poll(&mut unread) {
            ProxyStep::Header(header) if unread.is_empty() => return Ok((header, transport)),
            ProxyStep::Header(header) => {
                let behind = Behind { first: unread.to_vec(), used: 0, rest: transport };
                return Ok((header, Box::new(behind)));
            }
            ProxyStep::Failed(error) => return Err(error),
            ProxyStep::NeedInput => {}
        }
        let room = V2_MAX.saturating_sub(input.unread().len());
        let mut timer = Timer::new(clock, Some(reader.deadline()));
        let read = poll_fn(|cx| match input.poll_read(cx, &mut *transport, room) {
            Poll::Ready(read) => Poll::Ready(Some(read)),
            Poll::Pending => timer.poll(cx).map(|()| None),
        })
        .await;
        drop(timer);
        match read {
            Some(Ok(octets)) if octets > 0 => {}
            Some(_) => reader.handle_eof(),
            None => reader.handle_timeout(clock.now()),
        }
    }
}

/// A connection some of whose octets were read already.
struct Behind {
    first: Vec<u8>,
    used: usize,
    rest: Box<dyn Transport>,
}

impl AsyncRead for Behind {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let left = &self.first[self.used..];
        if left.is_empty() {
            return Pin::new(&mut *self.rest).poll_read(cx, buffer);
        }
        let taken = left.len().min(buffer.remaining());
        buffer.put_slice(&left[..taken]);
        self.used += taken;
        if self.used == self.first.len() {
            (self.first, self.used) = (Vec::new(), 0);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Behind {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, octets: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.rest).poll_write(cx, octets)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.rest).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.rest).poll_shutdown(cx)
    }
}
