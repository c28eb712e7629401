//! What every transport must do, as checks that any transport can be held to.
//!
//! Give [`all`] a [`Factory`] of your transports; it panics with a sentence where one breaks a
//! promise of [`Transport`]. Each check is a function of its own as well, with transports of its
//! own. None of them names a runtime, so they run in a simulation, too.

mod frames;
mod sessions;
mod watch;

use std::sync::Arc;

use async_trait::async_trait;
use ordu_core::NodeId;
use ordu_core::transport::{Runtime, Transport};

pub use crate::conformance::frames::{
    control_overtakes_bulk, frames_arrive_as_they_were_sent, frames_never_cross_sessions,
    long_frames_are_refused, nothing_is_sent_without_a_session, order_is_kept_in_each_lane,
    queues_are_bounded,
};
pub use crate::conformance::sessions::{
    closing_sends_what_waits, dialling_twice_changes_nothing, disconnected_peers_reconnect,
    hanging_up_ends_dialling, other_clusters_are_rejected, our_own_name_is_rejected,
    refusals_are_reported_again_and_again, two_dials_make_one_session,
    whoever_dials_itself_hears_so_once,
};

/// Makes the transports that are to be checked.
#[async_trait]
pub trait Factory: Send + Sync {
    /// Returns the runtime that the transports run on; the checks take the time from it.
    fn runtime(&self) -> Arc<dyn Runtime>;

    /// Returns a new transport of `node` in `cluster`, at an address that nobody had before.
    async fn start(&self, cluster: &str, node: NodeId) -> Box<dyn Transport>;
}

/// Runs every check.
///
/// # Panics
///
/// Panics where a transport breaks a promise.
pub async fn all(factory: &dyn Factory) {
    frames_arrive_as_they_were_sent(factory).await;
    order_is_kept_in_each_lane(factory).await;
    control_overtakes_bulk(factory).await;
    queues_are_bounded(factory).await;
    long_frames_are_refused(factory).await;
    nothing_is_sent_without_a_session(factory).await;
    frames_never_cross_sessions(factory).await;

    two_dials_make_one_session(factory).await;
    dialling_twice_changes_nothing(factory).await;
    refusals_are_reported_again_and_again(factory).await;
    hanging_up_ends_dialling(factory).await;
    disconnected_peers_reconnect(factory).await;
    other_clusters_are_rejected(factory).await;
    our_own_name_is_rejected(factory).await;
    whoever_dials_itself_hears_so_once(factory).await;
    closing_sends_what_waits(factory).await;
}
