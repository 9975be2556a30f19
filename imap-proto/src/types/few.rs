//! A list that is nearly always short.

use alloc::vec::Vec;
use core::fmt;
use core::hash::{Hash, Hasher};
use core::ops::{Deref, DerefMut, Range};

/// A list of which up to `N` members need no memory beside it: the sets that clients write have one range or two.
#[derive(Clone)]
pub(super) enum Few<T, const N: usize> {
    /// Members behind the first `len` mean nothing.
    Here {
        len: u8,
        members: [T; N],
    },
    Heap(Vec<T>),
}

impl<T: Copy, const N: usize> Few<T, N> {
    /// The empty list. `filler` stands where there is no member.
    pub(super) const fn new(filler: T) -> Self {
        assert!(N <= u8::MAX as usize, "the length of a short list is one octet");
        Few::Here { len: 0, members: [filler; N] }
    }

    #[inline]
    pub(super) fn push(&mut self, member: T) {
        match self {
            Few::Here { len, members } => match members.get_mut(usize::from(*len)) {
                Some(place) => {
                    *place = member;
                    *len += 1;
                }
                None => self.spill().push(member),
            },
            Few::Heap(members) => members.push(member),
        }
    }

    /// Puts `new` in the place of the members in `range`.
    pub(super) fn replace(&mut self, range: Range<usize>, new: &[T]) {
        if let Few::Here { len, members } = self {
            let behind = usize::from(*len) - range.end;
            let end = range.start + new.len();
            if end + behind <= N {
                members.copy_within(range.end..range.end + behind, end);
                members[range.start..end].copy_from_slice(new);
                // N fits in an octet.
                *len = (end + behind) as u8;
                return;
            }
        }
        self.spill().splice(range, new.iter().copied());
    }

    /// The members in memory of their own, from now on.
    fn spill(&mut self) -> &mut Vec<T> {
        if let Few::Here { .. } = self {
            let mut all = Vec::with_capacity(2 * N);
            all.extend_from_slice(self);
            *self = Few::Heap(all);
        }
        match self {
            Few::Heap(all) => all,
            Few::Here { .. } => unreachable!("it was made a heap list above"),
        }
    }
}

impl<T, const N: usize> Deref for Few<T, N> {
    type Target = [T];

    #[inline]
    fn deref(&self) -> &[T] {
        match self {
            Few::Here { len, members } => members.get(..usize::from(*len)).unwrap_or_default(),
            Few::Heap(members) => members,
        }
    }
}

impl<T, const N: usize> DerefMut for Few<T, N> {
    #[inline]
    fn deref_mut(&mut self) -> &mut [T] {
        match self {
            Few::Here { len, members } => members.get_mut(..usize::from(*len)).unwrap_or_default(),
            Few::Heap(members) => members,
        }
    }
}

impl<T: PartialEq, const N: usize> PartialEq for Few<T, N> {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl<T: Eq, const N: usize> Eq for Few<T, N> {}

impl<T: Hash, const N: usize> Hash for Few<T, N> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (**self).hash(state);
    }
}

impl<T: fmt::Debug, const N: usize> fmt::Debug for Few<T, N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn it_does_what_a_vec_does(
            ops in prop::collection::vec((any::<usize>(), any::<usize>(), prop::collection::vec(any::<u8>(), 0..3)), 0..12),
        ) {
            let (mut few, mut oracle) = (Few::<u8, 4>::new(0), Vec::new());
            for (start, end, new) in ops {
                let end = end % (oracle.len() + 1);
                let start = start % (end + 1);
                few.replace(start..end, &new);
                oracle.splice(start..end, new.iter().copied());
                if let [only] = new[..] {
                    few.push(only);
                    oracle.push(only);
                }
                prop_assert_eq!(&*few, &oracle[..]);
                if let Some(last) = few.last_mut() {
                    *last ^= 1;
                    *oracle.last_mut().unwrap() ^= 1;
                }
            }
        }
    }
}
