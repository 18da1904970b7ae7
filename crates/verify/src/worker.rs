//! What runs programs for a slot: a zygote of our own, or a host in somebody else's sandbox.

use std::io;

use crate::Submission;
use crate::container::Container;
use crate::jail::Tier;
use crate::judge::{Outcome, Trial};
use crate::python::PythonInfo;
use crate::run::{Job, Run, encode, execute};
use crate::zygote::Zygote;

#[derive(Debug)]
pub(crate) enum Worker {
    Zygote(Zygote),
    Container(Container),
}

impl Worker {
    /// Runs a submission and judges it. An error means that the worker is broken.
    pub(crate) fn run(&self, submission: &Submission) -> io::Result<Outcome> {
        let job = Job { bytes: encode(submission)?, limits: submission.limits };
        let mut trial = Trial::new(submission);
        let take = |kind, payload: &[u8]| trial.frame(kind, payload);
        let Run { ended, status, cpu, wall } = match self {
            Self::Zygote(zygote) => execute(zygote, &job, take)?,
            Self::Container(container) => container.execute(&job, submission.tests.len(), take)?,
        };
        Ok(Outcome { judgement: trial.verdict(ended, status), cpu, wall })
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
