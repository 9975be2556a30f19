//! Numbers of 32 bits without zero (`nz-number` in RFC 9051 §9), one type per meaning.

use core::fmt;
use core::num::NonZeroU32;

macro_rules! number {
    ($(#[$about:meta])* $name:ident) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(NonZeroU32);

        impl $name {
            /// The smallest: 1.
            pub const MIN: Self = Self(NonZeroU32::MIN);
            /// The largest: 4,294,967,295.
            pub const MAX: Self = Self(NonZeroU32::MAX);

            /// The number, or `None` for 0.
            pub const fn new(number: u32) -> Option<Self> {
                match NonZeroU32::new(number) {
                    Some(number) => Some(Self(number)),
                    None => None,
                }
            }

            /// The plain number, never 0.
            pub const fn get(self) -> u32 {
                self.0.get()
            }

            /// The number after this one; `None` after the largest.
            pub const fn next(self) -> Option<Self> {
                match self.0.checked_add(1) {
                    Some(number) => Some(Self(number)),
                    None => None,
                }
            }
        }

        impl From<NonZeroU32> for $name {
            fn from(number: NonZeroU32) -> Self {
                Self(number)
            }
        }

        impl From<$name> for NonZeroU32 {
            fn from(number: $name) -> Self {
                number.0
            }
        }

        impl From<$name> for u32 {
            fn from(number: $name) -> Self {
                number.get()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

number! {
    /// A message's unique identifier within its mailbox (RFC 9051 §2.3.1.1). Never reused under one [`UidValidity`].
    ///
    /// ```
    /// use pillarbox_imap::types::Uid;
    ///
    /// let uid = Uid::new(42).unwrap();
    /// assert_eq!(uid.next().unwrap().get(), 43);
    /// assert_eq!(Uid::new(0), None);
    /// ```
    Uid
}

number! {
    /// A message's place in its mailbox as one client knows it, from 1 (RFC 9051 §2.3.1.2). Stays inside the session:
    /// stores never hear one.
    Seq
}

number! {
    /// The generation of a mailbox's UIDs (RFC 9051 §2.3.1.1). Never falls.
    UidValidity
}
