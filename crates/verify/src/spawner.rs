//! A thread that starts workers. The kernel ends a zygote when the thread that started it ends,
//! so this one lives as long as the verifier.

use std::io;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;

use crate::container::{Container, SandboxCommand};
use crate::jail::Tier;
use crate::python::PythonInfo;
use crate::worker::Worker;
use crate::zygote::{Flavour, Zygote};
use crate::{VerifyError, canary};

/// What workers are made from.
#[derive(Debug)]
pub(crate) enum Source {
    Python(PythonInfo),
    Command(SandboxCommand),
}

#[derive(Debug)]
pub(crate) struct Spawner {
    orders: Option<Sender<Order>>,
    thread: Option<JoinHandle<()>>,
}

/// Which worker is to be started.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place {
    pub(crate) tier: Tier,
    pub(crate) slot: usize,
    pub(crate) flavour: Flavour,
}

#[derive(Debug)]
struct Order {
    place: Place,
    reply: Sender<Result<Worker, VerifyError>>,
}

impl Spawner {
    pub(crate) fn start(mut source: Source) -> io::Result<Self> {
        let (orders, inbox): (Sender<Order>, Receiver<Order>) = channel();
        let serve = move || {
            for Order { place, reply } in inbox {
                // Nobody waits for the answer only when the verifier is going down.
                let _ = reply.send(start(&mut source, place));
            }
        };
        let thread = std::thread::Builder::new().name("zygotes".to_string()).spawn(serve)?;
        Ok(Self { orders: Some(orders), thread: Some(thread) })
    }

    /// A worker whose canaries fail as they should.
    pub(crate) fn spawn(&self, place: Place) -> Result<Worker, VerifyError> {
        let gone = || VerifyError::Start(io::Error::other("the spawner is gone"));
        let (reply, answer) = channel();
        let orders = self.orders.as_ref().ok_or_else(gone)?;
        orders.send(Order { place, reply }).map_err(|_| gone())?;
        answer.recv().map_err(|_| gone())?
    }
}

fn start(source: &mut Source, place: Place) -> Result<Worker, VerifyError> {
    let worker = match source {
        Source::Python(python) => {
            if python.has_changed() {
                *python = python.again()?;
            }
            Worker::Zygote(Zygote::start(python, place)?)
        }
        Source::Command(command) => Worker::Container(Container::start(command, place.flavour)?),
    };
    canary::check(&worker)?;
    Ok(worker)
}

impl Drop for Spawner {
    fn drop(&mut self) {
        self.orders = None;
        if let Some(thread) = self.thread.take() {
            // A panic there has already been reported.
            let _ = thread.join();
        }
    }
}
