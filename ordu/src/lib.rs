//! A distributed supervisor and a distributed registry for any Rust program.
//!
//! A [`Node`] is one member of a cluster. Its [`Supervisor`]s keep children running somewhere in
//! the cluster, its [`Registry`]s find processes by name from everywhere, and it says precisely
//! what happens when nodes die, networks split, and two processes claim one name. What is kept
//! running is a [`Process`]: an async task with a mailbox.
//!
//! ```
//! use std::net::Ipv4Addr;
//! use std::time::Duration;
//!
//! use ordu::{ChildSpec, Context, Node, Process, Replicas, Secret, StartError};
//!
//! struct Cart(u64);
//!
//! impl Process for Cart {
//!     const KIND: &'static str = "cart";
//!     type Args = u64;
//!     type Message = u64;
//!     type Reply = u64;
//!
//!     async fn start(items: u64, _: &mut Context<Self>) -> Result<Self, StartError> {
//!         Ok(Self(items))
//!     }
//!
//!     async fn handle(&mut self, more: u64, _: &mut Context<Self>) -> u64 {
//!         self.0 += more;
//!         self.0
//!     }
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! // On real machines: Secret::from_env("SHOP_SECRET")?.
//! let secret = Secret::from_bytes(*b"correct horse battery staple, 32")?;
//! let loopback = (Ipv4Addr::LOCALHOST, 0);
//! let a = Node::builder("shop", "a").kind::<Cart>().secret(secret.clone()).listen(loopback);
//! let a = a.start().await?;
//! let b = Node::builder("shop", "b").kind::<Cart>().secret(secret).listen(loopback);
//! let b = b.seeds([a.local_addr()]).start().await?;
//! b.ready(Duration::from_secs(5)).await?;
//!
//! // A snapshot of all names first, then every change.
//! let mut names = b.registry("default").subscribe()?;
//! let cart = ChildSpec::new::<Cart>(&40).named("cart/7");
//! let cart = a.supervisor("default").start_child(cart).await?;
//!
//! b.settled().await?;
//! let total = b.registry("default").call::<Cart>("cart/7", &2);
//! assert_eq!(total.timeout(Duration::from_secs(1)).await?, 42);
//!
//! let alias = a.registry("default").register("alias/7", cart.process());
//! alias.replicated(Replicas::All).await?;
//! let found = b.registry("default").lookup("alias/7").expect("all members hold it");
//! assert_eq!(found.process, cart.process());
//! println!("{:?}", names.next().await);
//!
//! a.leave().await?;
//! # Ok(())
//! # }
//! ```
//!
//! # How it is built
//!
//! One task owns the node's state machine ([`ordu_core::Node`]) and everything goes through its
//! mailbox: what users ask for, what peers say, what processes do. Reads ([`Registry::lookup`],
//! [`Supervisor::children`], [`Node::members`]) do not: they are of a view that the task keeps,
//! and wait for nothing; only questions about many names ([`Registry::select`]) and about
//! [`Groups`] keep the task from changing them while they look. Deadlines are kept by the state
//! machine, so every operation ends: with its answer, with a typed error, or at its deadline.
//!
//! The clock, the tasks and the sessions come through [`Runtime`] and [`Transport`]; tokio and TCP
//! unless told otherwise.

#![cfg_attr(test, allow(clippy::disallowed_methods, reason = "tests run on tokio"))]

mod builder;
mod call;
mod care;
mod catch_up;
mod conflicts;
mod context;
mod declared;
mod discovery;
mod driver;
mod events;
mod export;
mod feed;
mod flight;
mod gate;
mod group_view;
mod groups;
mod hands;
mod inbox;
mod index;
mod kinds;
mod links;
mod log;
mod meta;
mod node;
mod operation;
mod phase;
mod policy;
mod process;
mod pump;
mod quorum;
mod recipient;
mod registry;
mod runner;
mod select;
mod spec;
mod store;
mod subscription;
mod supervisor;
mod tcp;
#[cfg(test)]
mod testing;
mod update;
mod view;
mod voters;
mod watchdog;

pub use ordu_core::flight::Payloads;
pub use ordu_core::message::Link;
pub use ordu_core::placement;
pub use ordu_core::placement::{
    Exclusion, Move, MovePlan, Need, Placement, PlacementStrategy, Redistribution, Weight,
};
pub use ordu_core::transport::{Address, BoxFuture, Runtime, Transport};
pub use ordu_core::{
    Blob, Budget, CallError, Candidate, CatchUpError, CausalToken, ChangeVotersError, ChildClaim,
    ChildId, ConfigError, Conflict, ConflictRule, Contender, DecodeExportError, Delay, Domain,
    Electorate, Escalation, Event, EvictError, ExitReason, ExplainError, Explanation, Export,
    FencingToken, GivenUp, IdError, Incarnation, JoinGroupError, LabelError, Labels, LeaveError,
    LeaveGroupError, LinkView, LinksView, Loss, MemberStatus, Mode, Name, NameConflict, NameError,
    NodeId, Occupant, OnMinority, Origin, Outcome, Passage, PassageCause, PauseMovesError,
    Precedence, ProcessId, PublishError, Published, Quarantined, Quorum, QuorumError, QuorumView,
    Rank, RegisterError, ReleaseError, Replica, Replicas, Restart, RestartChildError, Role, Rule,
    Scope, SetMembersError, SettleError, Stamp, StartChildError, StartReason, StopReason,
    TerminateError, Terms, Time, UnknownRegistry, UnregisterError, UpdateError, VoterRecordError,
    Voters, VotersError, Wall, WriteMetaError,
};

pub use ordu_transport_tcp::{Secret, SecretError};

pub use crate::builder::{NodeBuilder, StartNodeError};
pub use crate::call::{Call, Cast};
pub use crate::care::{AskQuarantined, Explain, PauseMoves, PlanMoves, Release, RestartChild};
pub use crate::catch_up::CatchUp;
pub use crate::context::{Clock, Context, Incoming, Letter, WrongType};
#[cfg(feature = "dns")]
pub use crate::discovery::DnsSeeds;
pub use crate::discovery::{DiscoverError, Discovery, SeedFile};
pub use crate::events::{Events, Missed};
pub use crate::export::ExportError;
pub use crate::flight::{DumpFlightError, FlightRecorder};
pub use crate::groups::{GroupMember, Groups, JoinGroup, LeaveGroup, Publish};
pub use crate::links::AskLinks;
pub use crate::meta::WriteMeta;
pub use crate::node::{Leave, Member, Node, ReadyError, Settled, Spawn, SpawnError};
pub use crate::policy::{Evict, SetMembers, WaitForQuorum};
pub use crate::process::{Finish, Process, StartError};
pub use crate::quorum::AskQuorum;
pub use crate::recipient::Recipient;
pub use crate::registry::{Register, Registry, Unregister, UnregisterMatching};
pub use crate::select::Select;
pub use crate::spec::ChildSpec;
pub use crate::store::{FileStore, LoadError, RecordStore};
pub use crate::subscription::{NameEvent, Subscription};
pub use crate::supervisor::{Child, ChildInfo, StartChild, StartChildren, Supervisor, Terminate};
pub use crate::update::Update;
pub use crate::view::Found;
pub use crate::voters::ChangeVoters;
pub use crate::watchdog::OnLapse;
