//! Strife: moves money between banks and never loses or doubles it, whatever crashes.

pub mod wire;
