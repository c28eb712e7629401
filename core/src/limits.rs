//! The most that anything may be, where nothing was configured.

/// Bytes of a node's id.
pub const NODE_ID_BYTES_MAX: usize = 255;
/// Bytes of a cluster's name.
pub const CLUSTER_BYTES_MAX: usize = 64;
/// Bytes of a cluster-wide name.
pub const NAME_BYTES_MAX: usize = 512;
/// Bytes of a value stored beside a name.
pub const VALUE_BYTES_MAX: usize = 64 << 10;
/// Metadata of one registry, with those deleted in the last minutes. Writers that do not know of
/// each other may go past it together, each by what it writes.
pub const METAS_MAX: usize = 1_024;
/// Bytes that a process is given for a conflict rule to go by.
pub const PRECEDENCE_BYTES_MAX: usize = 64;
/// Bytes of the name of a conflict rule, or of a placement strategy.
pub const RULE_BYTES_MAX: usize = 64;
/// Placement strategies of users that a node has code for.
pub const STRATEGIES_MAX: usize = 64;
/// Times that a child is passed on by strategies before it starts.
pub const HOPS_MAX: usize = 100;
/// Bytes of a child's specification, arguments included.
pub const SPEC_BYTES_MAX: usize = 256 << 10;
/// Bytes of a key that a start is asked for once with.
pub const REQUEST_KEY_BYTES_MAX: usize = 256;
/// Bytes of a frame, header included.
pub const FRAME_BYTES_MAX: usize = 1 << 20;
/// Bytes of a message to a process, or of its reply.
pub const PAYLOAD_BYTES_MAX: usize = FRAME_BYTES_MAX - (4 << 10);
/// Bytes of the state that the loser of a conflict hands to the winner.
pub const STATE_BYTES_MAX: usize = 512 << 10;
/// Bytes of entries that one delta carries before the next one starts.
pub const DELTA_BYTES_MAX: usize = 256 << 10;
/// Entries that one delta carries before the next one starts.
pub const DELTA_ENTRIES_MAX: usize = 8 << 10;
/// Entries of one journal, tombstones included.
pub const JOURNAL_ENTRIES_MAX: usize = 8 << 20;
/// Labels of a member.
pub const LABELS_MAX: usize = 32;
/// Bytes of a label's key.
pub const LABEL_KEY_BYTES_MAX: usize = 64;
/// Bytes of a label's value.
pub const LABEL_VALUE_BYTES_MAX: usize = 256;
/// Nodes that grant leases.
pub const VOTERS_MAX: usize = 7;
/// Electorates that one remembers to have come from.
pub const LINEAGE_MAX: usize = 16;
/// Claims that one part of an answer to a request for leases refuses.
pub const REFUSALS_MAX: usize = 1_024;
/// Members of a cluster.
pub const MEMBERS_MAX: usize = 1_024;
/// Replicas that a node remembers at once, retired ones included.
pub const REPLICAS_MAX: usize = 4 * MEMBERS_MAX;
