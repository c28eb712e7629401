//! Users' own processes, as models that run in a world.

use std::any::Any;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

use ordu_core::Blob;
use ordu_core::limits::{PAYLOAD_BYTES_MAX, STATE_BYTES_MAX};
use ordu_core::message::CallFailure;
use ordu_core::wire::{decode, encode};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::World;
use crate::host::Host;
use crate::run::silence;

/// A user's process as a model: what it does with a message, and how two of it become one.
///
/// It has the shape of `ordu::Process` without the waiting, so that the logic of a real process,
/// kept in a type of its own, serves both. What it does must follow from its arguments, its state
/// and the messages alone: no clocks, no threads, no random numbers, no iteration over hash maps.
///
/// A panic is the failure of that process, as on a real node. How long it takes to start and to
/// stop says the [`Behaviour`](crate::Behaviour) of its kind, which is
/// [`Behaviour::ok`](crate::Behaviour::ok) unless [`WorldBuilder::kind`](crate::WorldBuilder::kind)
/// says otherwise, after [`WorldBuilder::model`](crate::WorldBuilder::model).
///
/// ```
/// use ordu_sim::Model;
///
/// /// The highest number that anybody said.
/// struct Highest(u64);
///
/// impl Model for Highest {
///     const KIND: &'static str = "highest";
///     type Args = u64;
///     type Message = u64;
///     type Reply = u64;
///
///     fn start(first: u64, state: Option<&[u8]>) -> Result<Self, String> {
///         let Some(state) = state else { return Ok(Self(first)) };
///         let number = state.try_into().map_err(|_| "a state has eight bytes")?;
///         Ok(Self(u64::from_le_bytes(number)))
///     }
///
///     fn handle(&mut self, number: u64) -> u64 {
///         self.0 = self.0.max(number);
///         self.0
///     }
///
///     fn stop(self) -> Option<Vec<u8>> {
///         Some(self.0.to_le_bytes().to_vec())
///     }
///
///     fn absorb(&mut self, state: &[u8]) {
///         let number = state.try_into().expect("it was written so");
///         self.0 = self.0.max(u64::from_le_bytes(number));
///     }
/// }
/// ```
pub trait Model: Sized + Send + 'static {
    /// The name that nodes know the code by.
    const KIND: &'static str;

    /// What a start gets.
    type Args: Serialize + DeserializeOwned;
    /// What others say to it.
    type Message: Serialize + DeserializeOwned;
    /// What it answers.
    type Reply: Serialize + DeserializeOwned;

    /// Starts the process; `state` is what an earlier one left behind for it, if there is any.
    ///
    /// # Errors
    ///
    /// Where the child cannot run.
    fn start(args: Self::Args, state: Option<&[u8]>) -> Result<Self, String>;

    /// Handles one message; the result is the reply.
    fn handle(&mut self, message: Self::Message) -> Self::Reply;

    /// Ends the process, and returns what the winner of a conflict is to know.
    fn stop(self) -> Option<Vec<u8>> {
        None
    }

    /// Takes in what the loser of a conflict left behind; ignores it unless written otherwise.
    ///
    /// Which of two wins, Ordu decides; what becomes of what the loser knew is decided here.
    fn absorb(&mut self, state: &[u8]) {
        let _ = state;
    }
}

impl World {
    /// Returns every `M` that really runs now, with where it does, in the order of the machines;
    /// `text` is the name that its child was started with. One that panicked is none any more.
    pub fn models<M: Model>(&self, text: &str) -> Vec<(Host, &M)> {
        let name = crate::requests::name(text);
        let runs = self.processes.running().filter(|run| {
            run.child.is_some_and(|child| self.oracle.children.name_of(child) == Some(&name))
        });
        let mut models: Vec<(Host, &M)> = runs
            .filter_map(|run| {
                let model = self.processes.model(run.host, run.number)?;
                Some((run.host, model.downcast_ref::<M>()?))
            })
            .collect();
        models.sort_by_key(|&(host, _)| host);
        models
    }
}

/// Makes the model of a process from its arguments and its state.
pub(crate) type Make = fn(&[u8], Option<&[u8]>) -> Result<Box<dyn Instance>, String>;

/// Makes an `M`.
pub(crate) fn make<M: Model>(
    args: &[u8],
    state: Option<&[u8]>,
) -> Result<Box<dyn Instance>, String> {
    let args = decode::<M::Args>(args)
        .map_err(|_| "its arguments are of another type than expected".to_owned())?;
    Ok(Box::new(M::start(args, state)?))
}

/// A model, whatever its type.
pub(crate) trait Instance: Send {
    /// Returns the reply, or `None` if it does not understand the message.
    fn handle(&mut self, message: &[u8]) -> Option<Vec<u8>>;
    fn stop(self: Box<Self>) -> Option<Vec<u8>>;
    fn absorb(&mut self, state: &[u8]);
    fn as_any(&self) -> &dyn Any;
}

impl<M: Model> Instance for M {
    fn handle(&mut self, message: &[u8]) -> Option<Vec<u8>> {
        let message = decode::<M::Message>(message).ok()?;
        Some(encode(&Model::handle(self, message)))
    }

    fn stop(self: Box<Self>) -> Option<Vec<u8>> {
        Model::stop(*self)
    }

    fn absorb(&mut self, state: &[u8]) {
        Model::absorb(self, state);
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// The part of a process that a user wrote.
pub(crate) struct Own {
    make: Make,
    /// What runs, from the start to the stop or the first panic.
    instance: Option<Box<dyn Instance>>,
}

/// A panic in what a user wrote, as its process's failure says it.
#[derive(Debug, Eq, PartialEq)]
pub(crate) struct Panicked(pub(crate) String);

impl Own {
    pub(crate) fn new(make: Make) -> Self {
        Self { make, instance: None }
    }

    /// Starts it.
    ///
    /// # Errors
    ///
    /// Says why it does not run.
    pub(crate) fn start(&mut self, args: &Blob, state: Option<&Blob>) -> Result<(), String> {
        assert!(self.instance.is_none(), "a process starts once");
        let made = caught(|| (self.make)(args, state.map(|state| &state[..])));
        self.instance = Some(made.map_err(|Panicked(text)| text)??);
        Ok(())
    }

    /// Returns what it replies to `message`.
    ///
    /// # Errors
    ///
    /// Returns the panic that it ended in.
    pub(crate) fn handle(&mut self, message: &Blob) -> Result<Result<Blob, CallFailure>, Panicked> {
        let reply = self.with(|instance| instance.handle(message))?;
        let reply = reply.flatten().filter(|reply| reply.len() <= PAYLOAD_BYTES_MAX);
        Ok(reply.map(Blob::from).ok_or(CallFailure::Malformed))
    }

    /// Hands it the state of another.
    ///
    /// # Errors
    ///
    /// Returns the panic that it ended in.
    pub(crate) fn absorb(&mut self, state: &Blob) -> Result<(), Panicked> {
        self.with(|instance| instance.absorb(state)).map(|_| ())
    }

    /// Ends it; returns what it leaves behind.
    pub(crate) fn stop(&mut self) -> Option<Blob> {
        let instance = self.instance.take()?;
        // A panic on the way out ends it as well, and leaves nothing.
        let state = caught(|| instance.stop()).ok()??;
        (state.len() <= STATE_BYTES_MAX).then(|| Blob::from(state))
    }

    /// Returns what runs.
    pub(crate) fn model(&self) -> Option<&dyn Any> {
        self.instance.as_deref().map(Instance::as_any)
    }

    fn with<R>(
        &mut self,
        work: impl FnOnce(&mut dyn Instance) -> R,
    ) -> Result<Option<R>, Panicked> {
        let Some(mut instance) = self.instance.take() else { return Ok(None) };
        let (instance, result) = caught(move || {
            let result = work(&mut *instance);
            (instance, result)
        })?;
        self.instance = Some(instance);
        Ok(Some(result))
    }
}

impl fmt::Debug for Own {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Own").field("runs", &self.instance.is_some()).finish_non_exhaustive()
    }
}

/// Does `work`, a user's: a panic in it is an error that says where it was.
pub(crate) fn caught<R>(work: impl FnOnce() -> R) -> Result<R, Panicked> {
    let outcome = silence::keep(|| catch_unwind(AssertUnwindSafe(work)));
    outcome.map_err(|panic| {
        let place = silence::last_place().unwrap_or_default();
        Panicked(format!("it panicked: {} {place}", silence::text(&*panic)).trim_end().to_owned())
    })
}
