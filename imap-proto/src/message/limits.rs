//! How much of a message is looked at.

/// The bounds within which a message is taken apart. What lies beyond one is still delivered as octets; it is only not
/// described.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// How deep multiparts and messages may stand in each other. A container beyond is shown as one
    /// application/octet-stream part. Values above 200 count as 200, which bounds the stack that a writer needs.
    pub depth_max: usize,
    /// How many parts are told apart, all levels together. What follows the last one belongs to it, up to a boundary that
    /// ends a multipart.
    pub parts_max: usize,
    /// The longest boundary, in octets, that separates parts (RFC 2046 §5.1.1 allows 70, some senders take more).
    pub boundary_size_max: usize,
    /// How many mailboxes and groups of one address field are shown; the rest is left out.
    pub addresses_max: usize,
    /// How many parameters of one Content-Type or Content-Disposition field are shown, counting each piece of a value that
    /// is continued by RFC 2231 §3; and how many languages of one Content-Language field.
    pub parameters_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            depth_max: 100,
            parts_max: 10_000,
            boundary_size_max: 2048,
            addresses_max: 10_000,
            parameters_max: 128,
        }
    }
}
