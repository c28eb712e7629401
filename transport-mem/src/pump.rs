//! Moves frames from one end of a session to the other.

use std::sync::Arc;

use ordu_core::Blob;
use ordu_core::transport::Runtime;

use crate::hub::{Hub, Passage};
use crate::session::{Due, Session, Side};

/// Delivers what goes away from `side` of `session`, until that side's session is over.
pub(crate) async fn run(hub: Hub, runtime: Arc<dyn Runtime>, session: Arc<Session>, side: Side) {
    let way = &session.ways[side];
    while !way.is_over() {
        match way.due(runtime.now()) {
            // Copied, as a wire would: no two nodes ever share memory.
            Due::Frame(frame) => match hub.deliver(&session, side, Blob::from(frame.as_bytes())) {
                Passage::Delivered => (),
                Passage::Lost => way.taken(frame.len()),
            },
            Due::At(due) => tokio::select! {
                biased;
                () = way.woken() => (),
                () = runtime.sleep_until(due) => (),
            },
            Due::Nothing => way.woken().await,
            Due::Finished => hub.end(&session, side),
        }
    }
}
