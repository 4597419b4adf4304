//! A segmented, checksummed log of byte strings.
