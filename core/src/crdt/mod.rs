//! Replicated maps that converge: journals, each with one writer, and the laws they obey.
//!
//! A replicated state is one [`Journal`] for each replica. Only its owner writes a journal; all
//! others hold a [`JournalCopy`] of it, which [`Delta`]s bring forward. A copy shows nothing but
//! states that its owner's journal once had, so what readers see is always whole. Copies of one
//! journal are ordered by how far they have come and join to the later one; [`Journals`], their
//! product, joins replica by replica. A key that several replicas write, each in its own journal,
//! is a [`Cell`]: what it shows is a function of what the journals say.
//!
//! ```
//! use ordu_core::crdt::{Applied, Budget, Journal, JournalCopy};
//! use ordu_core::{Blob, Incarnation, NodeId, Replica};
//!
//! let owner = Replica::new(NodeId::new("a")?, Incarnation { counter: 1, nonce: 7 });
//! let mut journal = Journal::new();
//! journal.put(Blob::from("cart/7"), Blob::from("40"));
//!
//! let mut copy = JournalCopy::new();
//! let delta = journal.delta(&owner, copy.head(), Budget::default()).expect("the copy lacks a write");
//! assert!(matches!(copy.apply(delta), Ok(Applied::Closed { .. })));
//! assert_eq!(copy.journal(), &journal);
//! # Ok::<(), ordu_core::IdError>(())
//! ```
//!
//! Source: Almeida, Shoker, Baquero, "Delta State Replicated Data Types", JPDC 2018, for states that
//! travel in intervals; with a single writer to each map a causal context shrinks to one number,
//! and in place of a causal-delta condition we have the closing rule of [`JournalCopy`].

mod cell;
mod copy;
mod delta;
mod journal;
mod journals;

pub use crate::crdt::cell::{Cell, Dot, HeldWrite, Write};
pub use crate::crdt::copy::{Applied, JournalCopy};
pub use crate::crdt::delta::{Budget, Change, Delta, DeltaEntry, DeltaError, Version, Written};
pub use crate::crdt::journal::Journal;
pub use crate::crdt::journals::Journals;
