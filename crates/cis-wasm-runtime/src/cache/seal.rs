//! The bytes of a file in the cache.
//!
//! | offset | bytes | what |
//! |---|---|---|
//! | 0 | 24 | [`MAGIC`], with the version of this layout |
//! | 24 | 8 | length of the artifact, little-endian |
//! | 32 | 32 | id: what the artifact is of |
//! | 64 | 32 | keyed BLAKE3 hash of everything before it and everything behind it |
//! | 96 | | the artifact: an [object](crate::object), or what the engine wrote |
//!
//! Invariant: an [`Authentic`] holds bytes whose keyed hash was right, of the id that was asked for.

use wasmer_compiler::serialize::MetadataHeader;

use super::id::{ArtifactId, ID_LEN};
use super::outcome::Rejection;
use super::secret::Secret;
use crate::object::{HEADROOM, PIECE, Room};

pub(super) const MAGIC: [u8; 24] = *b"cis-skill artifact v2\r\n\0";
const AT_LEN: usize = MAGIC.len();
const AT_ID: usize = AT_LEN + size_of::<u64>();
const AT_MAC: usize = AT_ID + ID_LEN;
/// Bytes before the artifact.
pub(super) const HEADER: usize = AT_MAC + blake3::OUT_LEN;
/// Where each field of a file begins.
#[cfg(test)]
pub(super) const FIELDS: [(&str, usize); 5] =
    [("magic", 0), ("length", AT_LEN), ("id", AT_ID), ("mac", AT_MAC), ("artifact", HEADER)];

const _: () = assert!(
    HEADER == HEADROOM && HEADER.is_multiple_of(MetadataHeader::ALIGN),
    "the artifact stands behind the header"
);

/// An artifact that this operator's runtime made of just what was asked for.
pub(crate) struct Authentic(Room);

impl Authentic {
    /// Its bytes, behind as many as an object's headroom has.
    pub(crate) fn into_room(self) -> Room {
        self.0
    }
}

/// The header of an artifact.
pub(super) fn header(secret: &Secret, id: &ArtifactId, artifact: &[u8]) -> [u8; HEADER] {
    let mut header = [0; HEADER];
    header[..AT_LEN].copy_from_slice(&MAGIC);
    header[AT_LEN..AT_ID].copy_from_slice(&(artifact.len() as u64).to_le_bytes());
    header[AT_ID..AT_MAC].copy_from_slice(id.as_bytes());
    let mac = secret.hasher().update(&header[..AT_MAC]).update(artifact).finalize();
    header[AT_MAC..].copy_from_slice(mac.as_bytes());
    header
}

/// The check of a file, whose bytes are hashed while it is read: they are in the processor's cache then.
pub(super) struct Check {
    hasher: blake3::Hasher,
    /// Bytes of the file that were hashed or are left out, all of them from its begin.
    done: usize,
}

impl Check {
    pub(super) fn with(secret: &Secret) -> Self {
        Check { hasher: secret.hasher(), done: 0 }
    }

    /// Goes on with a file of which so much was read. It does so in whole pieces, as the hash has least to do then.
    pub(super) fn goes_on(&mut self, so_far: &[u8]) {
        let pieces = so_far.len().saturating_sub(blake3::OUT_LEN) / PIECE;
        if pieces > 0 {
            self.up_to(so_far, pieces * PIECE + blake3::OUT_LEN);
        }
    }

    fn up_to(&mut self, file: &[u8], end: usize) {
        // The keyed hash stands in the midst of what it is of.
        for (begin, until) in [(0, AT_MAC), (HEADER, usize::MAX)] {
            let part = self.done.max(begin)..end.min(until);
            if !part.is_empty() {
                self.done = part.end;
                self.hasher.update(&file[part]);
            }
        }
    }

    /// Opens the file that was read, all of it.
    pub(super) fn open(mut self, id: &ArtifactId, file: Room) -> Result<Authentic, Rejection> {
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
        self.up_to(&file, file.len());
        // Compared in constant time.
        if blake3::Hash::from_slice(&header[AT_MAC..]).ok() != Some(self.hasher.finalize()) {
            return Err(Rejection::NotAuthentic);
        }
        Ok(Authentic(file))
    }
}
