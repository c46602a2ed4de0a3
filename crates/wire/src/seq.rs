//! Sequence numbers (RFC 9293 section 3.4), one type per sequence space.
//!
//! The engine holds four spaces at once: the client's and the online server's as captured, and its own and the
//! target's. They are all 32 bits wide, and mixing two of them up would compile if they were plain integers.

use core::cmp::Ordering;
use core::fmt;
use core::hash::{Hash, Hasher};
use core::marker::PhantomData;
use core::ops::{Add, AddAssign, Sub};

/// A sequence number of the space `S`, compared modulo 2^32.
///
/// The order is that of RFC 9293: `a < b` when `b` is less than 2^31 ahead. It is total only within a window of
/// that size, which is all that TCP ever compares.
pub struct Seq<S>(u32, PhantomData<S>);

/// The space of the client's bytes as captured.
#[derive(Debug, Clone, Copy)]
pub enum Client {}
/// The space of the online server's bytes as captured.
#[derive(Debug, Clone, Copy)]
pub enum Online {}
/// The space of the bytes that a session sends to the target.
#[derive(Debug, Clone, Copy)]
pub enum Local {}
/// The space of the target's bytes.
#[derive(Debug, Clone, Copy)]
pub enum Target {}

/// A client's sequence number.
pub type ClientSeq = Seq<Client>;
/// An online server's sequence number.
pub type OnlineSeq = Seq<Online>;
/// A session's own sequence number.
pub type LocalSeq = Seq<Local>;
/// A target's sequence number.
pub type TargetSeq = Seq<Target>;

impl<S> Seq<S> {
    /// The sequence number with this value on the wire.
    #[inline(always)]
    #[must_use]
    pub const fn new(raw: u32) -> Self {
        Self(raw, PhantomData)
    }

    /// The value on the wire.
    #[inline(always)]
    #[must_use]
    pub const fn raw(self) -> u32 {
        self.0
    }

    /// The later of two.
    #[inline(always)]
    #[must_use]
    pub fn max(self, other: Self) -> Self {
        if self < other { other } else { self }
    }

    /// The earlier of two.
    #[inline(always)]
    #[must_use]
    pub fn min(self, other: Self) -> Self {
        if other < self { other } else { self }
    }

    /// How many bytes `self` is ahead of `earlier`, or 0 where it is not ahead.
    #[inline(always)]
    #[must_use]
    pub fn ahead_of(self, earlier: Self) -> u32 {
        u32::try_from(self - earlier).unwrap_or(0)
    }
}

impl<S> Clone for Seq<S> {
    #[inline(always)]
    fn clone(&self) -> Self {
        *self
    }
}
impl<S> Copy for Seq<S> {}
impl<S> PartialEq for Seq<S> {
    #[inline(always)]
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}
impl<S> Eq for Seq<S> {}
impl<S> Hash for Seq<S> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}
impl<S> fmt::Debug for Seq<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}
impl<S> PartialOrd for Seq<S> {
    #[inline(always)]
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some((*self - *other).cmp(&0))
    }
}
impl<S> Add<u32> for Seq<S> {
    type Output = Self;
    #[inline(always)]
    fn add(self, bytes: u32) -> Self {
        Self::new(self.0.wrapping_add(bytes))
    }
}
impl<S> AddAssign<u32> for Seq<S> {
    #[inline(always)]
    fn add_assign(&mut self, bytes: u32) {
        *self = *self + bytes;
    }
}
impl<S> Sub<u32> for Seq<S> {
    type Output = Self;
    #[inline(always)]
    fn sub(self, bytes: u32) -> Self {
        Self::new(self.0.wrapping_sub(bytes))
    }
}
impl<S> Sub for Seq<S> {
    type Output = i32;
    /// The signed distance; negative where `self` stands before `other`.
    #[inline(always)]
    fn sub(self, other: Self) -> i32 {
        self.0.wrapping_sub(other.0).cast_signed()
    }
}

#[cfg(test)]
mod tests {
    use super::ClientSeq;

    #[test]
    fn order_survives_the_wrap() {
        let last = ClientSeq::new(u32::MAX);
        assert!(last < last + 1);
        assert_eq!((last + 3) - last, 3);
        assert_eq!(last - (last + 3), -3);
        assert_eq!((last + 3).ahead_of(last), 3);
        assert_eq!(last.ahead_of(last + 3), 0);
        assert_eq!(last.max(last + 1), last + 1);
        assert_eq!(last.min(last + 1), last);
    }
}
