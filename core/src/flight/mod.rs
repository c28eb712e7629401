//! The flight recorder: what a node was told last, so that it can be lived again.
//!
//! ```text
//!              record                    dump                   replay
//!   inputs ────────────▶ Recorder ────────────────▶ Dump ────────────────▶ the same state hash
//!   state, now and then ─┘  (bounded ring)    │      ▲
//!                                             └ bytes┘  encode, decode
//! ```
//!
//! A node is a function of its configuration, its seed and its inputs. A [`Recorder`] keeps the
//! last inputs in a ring of bounded size, and now and then the whole state, so that what is kept
//! always follows from a state that is kept, too. A [`Dump`] of it is replayed to the state that
//! the live node had, on any machine, under a debugger if need be.
//!
//! # What leaves the node
//!
//! A dump holds the configuration, names, values, specifications of children and their arguments,
//! addresses, and the texts of failures: what the cluster replicates, whose fingerprints the state
//! depends on. What processes say to each other is kept as length and hash alone, unless
//! [`Payloads::Kept`] says otherwise: the messages and replies of calls and sends, and the state
//! that a process leaves behind when it stops. In a replay a stand-in of the same length takes
//! their place, the same for equal payloads. A hash does not hide what can be guessed: whoever
//! suspects a certain payload can check it.
//!
//! # What it costs
//!
//! Each input is encoded onto the ring, which takes some 30 to 150 ns and a hash of its payload;
//! the state is encoded once in as many bytes of inputs as make three or four states, at some 3 ms
//! for each MiB. That is 7 to 40 % of what the state machine alone does with an input, more if it
//! brings a payload of many KiB; and a few per cent of the processor time of a whole node on
//! sockets, where a call of 200 bytes costs 12 to 15 µs: runs on two shared cores, whose noise is
//! as large, said 2, 3, 11 and 27 % with payloads hashed, and 2, 4, 9 and 11 % with payloads kept.
//! `cargo bench --bench flight` measures both, the first in `ordu-core` and the second in `ordu`.
//! Memory is what [`Settings::bytes_max`] says.

mod dump;
mod payloads;
mod recorder;
mod replay;
mod tape;

pub use crate::flight::dump::{DecodeDumpError, Dump, Reason};
pub use crate::flight::payloads::Payloads;
pub use crate::flight::recorder::{DumpError, Recorder, Settings};
pub use crate::flight::replay::{ReplayError, Replayed, Step};
