//! A list that grows at its end and is shared while it grows.

use std::sync::Arc;

/// Values in chunks of `N`. A clone costs a pointer a chunk, and shares what is there; appending to one of the two copies
/// the last chunk at most.
#[derive(Clone, Debug)]
pub(crate) struct Chunks<T, const N: usize>(Vec<Arc<Vec<T>>>);

impl<T, const N: usize> Default for Chunks<T, N> {
    fn default() -> Self {
        Chunks(Vec::new())
    }
}

impl<T: Copy, const N: usize> Chunks<T, N> {
    /// Appends slices one behind the other, which together must fit into a chunk, and returns where they begin. Where the rest
    /// of a chunk is too small for them it stays empty.
    pub(crate) fn append(&mut self, parts: &[&[T]]) -> usize {
        let len: usize = parts.iter().map(|part| part.len()).sum();
        assert!(len <= N, "more than a chunk");
        if self.0.last().is_none_or(|last| last.len() + len > N) {
            self.0.push(Arc::default());
        }
        let begin = (self.0.len() - 1) * N;
        let last = Arc::make_mut(self.0.last_mut().expect("pushed if there was none"));
        if last.capacity() < last.len() + len {
            // As a vector grows, and not beyond the chunk.
            let room = (last.len() + len).max(2 * last.capacity()).clamp(FIRST.min(N), N);
            last.reserve_exact(room - last.len());
        }
        let start = begin + last.len();
        for part in parts {
            last.extend_from_slice(part);
        }
        start
    }

    /// The slice that was appended at `start`.
    pub(crate) fn slice(&self, start: usize, len: usize) -> &[T] {
        if len == 0 { &[] } else { &self.0[start / N][start % N..start % N + len] }
    }

    /// Where nothing was left empty: how many there are.
    pub(crate) fn len(&self) -> usize {
        self.0.last().map_or(0, |last| (self.0.len() - 1) * N + last.len())
    }

    pub(crate) fn get_mut(&mut self, at: usize) -> &mut T {
        &mut Arc::make_mut(&mut self.0[at / N])[at % N]
    }

    pub(crate) fn truncate(&mut self, len: usize) {
        self.0.truncate(len.div_ceil(N));
        if let Some(last) = self.0.last_mut().filter(|_| !len.is_multiple_of(N)) {
            Arc::make_mut(last).truncate(len % N);
        }
    }
}

/// Room for so many when the first comes.
const FIRST: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clone_keeps_what_it_has() {
        let mut list: Chunks<u8, 4> = Chunks::default();
        assert_eq!(list.append(&[b"ab", b"c"]), 0);
        let before = list.clone();
        assert_eq!(list.append(&[b"d"]), 3);
        assert_eq!(list.append(&[b"efg"]), 4);
        // The rest of the chunk is too small.
        assert_eq!(list.append(&[b"hi"]), 8);
        assert_eq!((before.len(), before.slice(0, 3)), (3, &b"abc"[..]));
        *list.get_mut(0) = b'x';
        list.truncate(5);
        assert_eq!((list.len(), list.slice(0, 4), list.slice(4, 1)), (5, &b"xbcd"[..], &b"e"[..]));
        assert_eq!(before.slice(0, 3), b"abc");
        list.truncate(4);
        assert_eq!((list.len(), list.append(&[b"yz"])), (4, 4));
    }
}
