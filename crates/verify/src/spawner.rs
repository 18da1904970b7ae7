//! A thread that starts zygotes. The kernel ends a zygote when the thread that started it ends,
//! so this one lives as long as the verifier.

use std::io;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;

use crate::jail::Tier;
use crate::python::PythonInfo;
use crate::zygote::Zygote;
use crate::{VerifyError, canary};

#[derive(Debug)]
pub(crate) struct Spawner {
    orders: Option<Sender<Order>>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Order {
    tier: Tier,
    slot: usize,
    reply: Sender<Result<Zygote, VerifyError>>,
}

impl Spawner {
    pub(crate) fn start(mut python: PythonInfo) -> io::Result<Self> {
        let (orders, inbox): (Sender<Order>, Receiver<Order>) = channel();
        let serve = move || {
            for Order { tier, slot, reply } in inbox {
                // Nobody waits for the answer only when the verifier is going down.
                let _ = reply.send(start(&mut python, tier, slot));
            }
        };
        let thread = std::thread::Builder::new().name("zygotes".to_string()).spawn(serve)?;
        Ok(Self { orders: Some(orders), thread: Some(thread) })
    }

    /// A zygote whose canaries fail as they should.
    pub(crate) fn spawn(&self, tier: Tier, slot: usize) -> Result<Zygote, VerifyError> {
        let gone = || VerifyError::Start(io::Error::other("the spawner is gone"));
        let (reply, answer) = channel();
        let orders = self.orders.as_ref().ok_or_else(gone)?;
        orders.send(Order { tier, slot, reply }).map_err(|_| gone())?;
        answer.recv().map_err(|_| gone())?
    }
}

fn start(python: &mut PythonInfo, tier: Tier, slot: usize) -> Result<Zygote, VerifyError> {
    if python.has_changed() {
        *python = python.again()?;
    }
    let zygote = Zygote::start(python, tier, slot)?;
    canary::check(&zygote, tier)?;
    Ok(zygote)
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
