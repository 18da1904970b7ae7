//! Where randomness comes from: one root seed, and named children of it.
//!
//! A draw depends on the path of names and numbers that leads to it, never on the clock or on
//! the order of work, so that adding a draw in one place moves nothing elsewhere.

use sha2::{Digest as _, Sha256};

/// A seed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Seed(pub(crate) u64);

impl Seed {
    /// The child called `name` at `index`.
    pub(crate) fn child(self, name: &str, index: u64) -> Self {
        let mut hash = Sha256::new();
        hash.update(self.0.to_le_bytes());
        hash.update(index.to_le_bytes());
        hash.update(name.as_bytes());
        let digest: [u8; 32] = hash.finalize().into();
        let (head, _) = digest.as_chunks();
        Self(u64::from_le_bytes(head[0]))
    }

    /// A generator seeded with it.
    pub(crate) fn rng(self) -> rand_chacha::ChaCha8Rng {
        rand::SeedableRng::seed_from_u64(self.0)
    }
}
