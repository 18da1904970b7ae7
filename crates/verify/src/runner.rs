//! What runs one program: a worker here, or a service elsewhere. Both hand over values, and
//! know nothing of what is expected.

use std::io;

use crate::Remote;
use crate::run::{self, Answered, Next, Outcome};
use crate::submission::Order;
use crate::worker::Worker;

/// What runs one program.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Runner<'a> {
    Worker(&'a Worker),
    Remote(&'a Remote),
}

impl Runner<'_> {
    /// Runs a program; an error means that the host is broken.
    pub(crate) fn run(
        self,
        order: &Order<'_>,
        take: &mut dyn FnMut(Answered) -> Next,
    ) -> io::Result<Outcome> {
        match self {
            Self::Worker(worker) => run::run(worker, order, take),
            Self::Remote(remote) => remote.run(order, take),
        }
    }
}
