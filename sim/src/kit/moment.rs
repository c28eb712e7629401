//! What an expectation sees.

use ordu_core::wire::decode;
use ordu_core::{Reply, Time};

use crate::World;
use crate::host::Host;
use crate::model::Model;
use crate::requests::name;
use crate::run::Sent;

/// One moment of a simulation: what runs, in truth, and what clients were answered so far.
pub struct Moment<'a> {
    pub(super) world: &'a World,
    pub(super) sent: &'a [Sent],
}

impl<'a> Moment<'a> {
    /// Returns how much true time has passed since the start.
    pub fn now(&self) -> Time {
        self.world.now()
    }

    /// Returns the whole world.
    pub fn world(&self) -> &'a World {
        self.world
    }

    /// Returns the machines that run a child with the name `text`, once for each process; frozen
    /// ones too, and processes that are about to stop.
    pub fn running(&self, text: &str) -> Vec<Host> {
        self.world.running_name(text)
    }

    /// Returns whether there was a child with the name `text`, and none is promised to run any
    /// more: it was ended, or every machine that knew of it was dead at once, for Ordu has no disk.
    pub fn is_gone(&self, text: &str) -> bool {
        self.world.oracle.children.is_gone(&name(text))
    }

    /// Returns every `M` that runs under the name `text`, with where it does.
    pub fn models<M: Model>(&self, text: &str) -> Vec<(Host, &'a M)> {
        self.world.models(text)
    }

    /// Returns the only `M` that runs under the name `text`.
    ///
    /// # Errors
    ///
    /// Says so if none runs, or more than one.
    pub fn model<M: Model>(&self, text: &str) -> Result<&'a M, String> {
        match self.models(text)[..] {
            [(_, model)] => Ok(model),
            [] => Err(format!("no {} runs as {text:?}", M::KIND)),
            ref several => {
                let hosts: Vec<Host> = several.iter().map(|&(host, _)| host).collect();
                Err(format!("{hosts:?} each run a {} as {text:?}", M::KIND))
            }
        }
    }

    /// Returns the messages of [`Simulation::calls`](crate::kit::Simulation::calls) to `text` that
    /// were answered, with the answers, in the order in which they were sent.
    ///
    /// A message that was not answered may have been handled all the same.
    pub fn answered<M: Model>(&self, text: &str) -> Vec<(M::Message, M::Reply)> {
        let sent = self.sent.iter().filter(|sent| sent.name == text);
        sent.filter_map(|sent| {
            let Some(Reply::Call(Ok(reply))) = self.world.reply(sent.ticket) else { return None };
            Some((decode(&sent.payload).ok()?, decode(reply).ok()?))
        })
        .collect()
    }
}
