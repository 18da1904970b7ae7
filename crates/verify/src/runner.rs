//! What runs one program: a zygote here, or a service elsewhere. Both hand over values, and
//! know nothing of what is expected.

use std::io;

use crate::Remote;
use crate::run::{self, Answered, Next, Outcome};
use crate::submission::Order;
use crate::zygote::Zygote;

/// What runs one program.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Runner<'a> {
    Zygote(&'a Zygote),
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
            Self::Zygote(zygote) => run::run(zygote, order, take),
            Self::Remote(remote) => remote.run(order, take),
        }
    }
}
