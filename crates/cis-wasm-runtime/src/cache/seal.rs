//! The bytes of a file in the cache.
//!
//! | offset | bytes | what |
//! |---|---|---|
//! | 0 | 24 | [`MAGIC`], with the version of this layout |
//! | 24 | 8 | length of the artifact, little-endian |
//! | 32 | 32 | id: what the artifact is of |
//! | 64 | 32 | keyed BLAKE3 hash of everything before it and everything behind it |
//! | 96 | | the artifact, as the engine wrote it |
//!
//! Invariant: an [`Authentic`] holds bytes whose keyed hash was right, of the id that was asked for, and begins at an
//! address that is divisible by [`ALIGNMENT`], which the engine takes for granted.

use bytes::Bytes;
use memmap2::MmapMut;

use super::id::{ArtifactId, ID_LEN};
use super::outcome::Rejection;
use super::secret::Secret;

pub(super) const MAGIC: [u8; 24] = *b"cis-skill artifact v1\r\n\0";
const AT_LEN: usize = MAGIC.len();
const AT_ID: usize = AT_LEN + size_of::<u64>();
const AT_MAC: usize = AT_ID + ID_LEN;
/// Bytes before the artifact.
pub(super) const HEADER: usize = AT_MAC + blake3::OUT_LEN;
/// Where each field of a file begins.
#[cfg(test)]
pub(super) const FIELDS: [(&str, usize); 5] =
    [("magic", 0), ("length", AT_LEN), ("id", AT_ID), ("mac", AT_MAC), ("artifact", HEADER)];

/// What the engine's archives are aligned to.
const ALIGNMENT: usize = 16;
const _: () = assert!(HEADER.is_multiple_of(ALIGNMENT), "the artifact stands behind the header");

/// An artifact that this operator's runtime made of just what was asked for.
pub(crate) struct Authentic(Bytes);

impl Authentic {
    /// Its bytes.
    pub(crate) fn into_bytes(self) -> Bytes {
        self.0
    }
}

/// The header of an artifact.
pub(super) fn header(secret: &Secret, id: &ArtifactId, artifact: &[u8]) -> [u8; HEADER] {
    let mut header = [0; HEADER];
    header[..AT_LEN].copy_from_slice(&MAGIC);
    header[AT_LEN..AT_ID].copy_from_slice(&(artifact.len() as u64).to_le_bytes());
    header[AT_ID..AT_MAC].copy_from_slice(id.as_bytes());
    let mac = secret.mac([&header[..AT_MAC], artifact]);
    header[AT_MAC..].copy_from_slice(mac.as_bytes());
    header
}

/// Checks a file that was read into memory of our own: a mapping of its own pages, so that it begins at one.
pub(super) fn open(secret: &Secret, id: &ArtifactId, file: MmapMut) -> Result<Authentic, Rejection> {
    let Some((header, artifact)) = file.split_at_checked(HEADER) else { return Err(Rejection::WrongLength) };
    if header[..AT_LEN] != MAGIC {
        return Err(Rejection::UnknownFormat);
    }
    if header[AT_LEN..AT_ID] != (artifact.len() as u64).to_le_bytes() {
        return Err(Rejection::WrongLength);
    }
    if header[AT_ID..AT_MAC] != *id.as_bytes() {
        return Err(Rejection::Foreign);
    }
    // Compared in constant time.
    let mac = secret.mac([&header[..AT_MAC], artifact]);
    if blake3::Hash::from_slice(&header[AT_MAC..]).ok() != Some(mac) {
        return Err(Rejection::NotAuthentic);
    }
    if !artifact.as_ptr().addr().is_multiple_of(ALIGNMENT) {
        return Err(Rejection::Refused { message: "its memory is not aligned".into() });
    }
    Ok(Authentic(Bytes::from_owner(file).slice(HEADER..)))
}
