//! Short text of bounded length, kept in place.
//!
//! Ids are compared whole, copied freely and kept by the million, so they are fixed-size values and
//! not heap strings. What may stand in them is decided by the types that wrap this one.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::fmt;

/// At most `N` bytes of UTF-8 (`N` <= 255), stored inline. Bytes beyond the length are zero, so
/// that derived comparison is the comparison of the text.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Text<const N: usize> {
    bytes: [u8; N],
    len: u8,
}

impl<const N: usize> Text<N> {
    /// `None` when `text` is longer than `N` bytes or holds a NUL.
    pub(super) fn new(text: &str) -> Option<Self> {
        let source = text.as_bytes();
        if source.len() > N || source.contains(&0) {
            return None;
        }
        let mut bytes = [0; N];
        bytes[..source.len()].copy_from_slice(source);
        Some(Self { bytes, len: u8::try_from(source.len()).ok()? })
    }

    pub(super) fn as_str(&self) -> &str {
        let text = std::str::from_utf8(&self.bytes[..usize::from(self.len)]);
        text.expect("built from a str")
    }
}

impl<const N: usize> fmt::Debug for Text<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl<const N: usize> fmt::Display for Text<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl<const N: usize> Serialize for Text<N> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de, const N: usize> Deserialize<'de> for Text<N> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor<const N: usize>;
        impl<const N: usize> de::Visitor<'_> for Visitor<N> {
            type Value = Text<N>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "text of at most {N} bytes without NUL")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Text<N>, E> {
                Text::new(text).ok_or_else(|| E::invalid_length(text.len(), &self))
            }
        }
        deserializer.deserialize_str(Visitor)
    }
}
