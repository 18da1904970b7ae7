//! What runs programs for a slot: a zygote of our own, or a host in somebody else's sandbox.

use std::io;

use crate::container::Container;
use crate::jail::Tier;
use crate::process::{self, Job, Process};
use crate::python::PythonInfo;
use crate::zygote::Zygote;

#[derive(Debug)]
pub(crate) enum Worker {
    Zygote(Zygote),
    Container(Container),
}

impl Worker {
    /// Runs a job and hands over what comes from it, until `take` wants no more. An error means
    /// that the worker is broken.
    pub(crate) fn execute<E>(
        &self,
        job: &Job,
        take: &mut dyn FnMut(u8, &[u8]) -> Option<E>,
    ) -> io::Result<Process<E>> {
        match self {
            Self::Zygote(zygote) => process::execute(zygote, job, take),
            Self::Container(container) => container.execute(job, take),
        }
    }

    pub(crate) fn tier(&self) -> Tier {
        match self {
            Self::Zygote(zygote) => zygote.tier(),
            Self::Container(container) => container.tier,
        }
    }

    pub(crate) fn python(&self) -> &PythonInfo {
        match self {
            Self::Zygote(zygote) => zygote.python(),
            Self::Container(container) => &container.python,
        }
    }

    /// The process to which it answers.
    pub(crate) fn id(&self) -> u32 {
        match self {
            Self::Zygote(zygote) => zygote.id(),
            Self::Container(container) => container.id(),
        }
    }

    /// Whether its interpreter's file is another one by now, whose library it would mix with its
    /// own. A host looks after its own zygotes.
    pub(crate) fn is_outdated(&self) -> bool {
        match self {
            Self::Zygote(zygote) => zygote.python().has_changed(),
            Self::Container(_) => false,
        }
    }
}
