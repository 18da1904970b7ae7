//! Composed programs (stub).
use crate::{Rng, Task, TaskId};
/// The family's name.
pub const NAME: &str = "composed";
/// A composition.
#[derive(Debug, Clone)]
pub struct Composition;
pub(crate) fn task(_id: &TaskId, _rng: &mut Rng) -> Task {
    unreachable!()
}
