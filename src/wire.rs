//! The generated messages and services, in one place: the only `include_proto` of the project.

/// Package `strife.v1`.
#[allow(clippy::all, clippy::pedantic, unreachable_pub)]
pub mod v1 {
    tonic::include_proto!("strife.v1");
}

/// Every file of `proto/` as an encoded `FileDescriptorSet`, comments included.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));
