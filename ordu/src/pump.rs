//! Brings what a transport says to the driver.

use std::collections::BTreeSet;
use std::sync::Arc;

use ordu_core::transport::{Transport, TransportEvent};
use ordu_core::wire::decode_frame;
use ordu_core::{Input, NodeId};
use tokio::sync::mpsc;

use crate::driver::Mail;

/// Reads from `transport` until it is closed or the node is over.
///
/// Frames are decoded here, beside the driver. A full mailbox makes the pump wait, and the
/// transport with it, and the peers with that.
pub(crate) async fn pump(transport: Arc<dyn Transport>, mailbox: mpsc::Sender<Mail>) {
    let mut distrusted = BTreeSet::new();
    loop {
        let event = tokio::select! {
            biased;
            () = mailbox.closed() => return,
            event = transport.next() => event,
        };
        let Some(event) = event else {
            tracing::debug!("the transport is closed");
            return;
        };
        if let Some(input) = input_of(&*transport, &mut distrusted, event)
            && mailbox.send(Mail::Input(input)).await.is_err()
        {
            return;
        }
    }
}

/// Returns what `event` is to the state machine, if anything.
///
/// A peer whose frame makes no sense is `distrusted` until its session is over, and nothing that
/// it sent in that session is believed any more.
fn input_of(
    transport: &dyn Transport,
    distrusted: &mut BTreeSet<NodeId>,
    event: TransportEvent,
) -> Option<Input> {
    match event {
        TransportEvent::Connected { peer } => Some(Input::Connected { peer }),
        TransportEvent::Disconnected { peer } => {
            distrusted.remove(&peer);
            Some(Input::Disconnected { peer })
        }
        TransportEvent::Refused { address } => Some(Input::Refused { address }),
        // Nobody else listens there.
        TransportEvent::Ourselves { address } => Some(Input::Refused { address }),
        TransportEvent::Rejected { address, reason } => {
            tracing::warn!(?address, reason, "somebody is not of this cluster");
            None
        }
        TransportEvent::Frame { peer, .. } if distrusted.contains(&peer) => None,
        TransportEvent::Frame { peer, frame } => match decode_frame(&frame) {
            Ok(Some(envelope)) => Some(Input::Message { from: peer, envelope }),
            Ok(None) => {
                tracing::debug!(%peer, "skipped a message of a type that is not known here");
                None
            }
            Err(error) => {
                tracing::warn!(%peer, %error, "a frame makes no sense; the session is ended");
                transport.disconnect(&peer);
                distrusted.insert(peer);
                None
            }
        },
    }
}

#[cfg(test)]
mod tests {
    use ordu_core::message::{Envelope, Message};
    use ordu_core::wire::encode_frame;
    use ordu_core::{Blob, Incarnation};

    use super::*;
    use crate::testing::{Asked, TestTransport};

    async fn next(mails: &mut mpsc::Receiver<Mail>) -> Input {
        match mails.recv().await {
            Some(Mail::Input(input)) => input,
            _ => panic!("an input is all that a pump brings"),
        }
    }

    #[tokio::test]
    async fn a_peer_that_talks_nonsense_is_not_heard_again_before_a_new_session() {
        let (transport, speak) = TestTransport::new();
        let (post, mut mails) = mpsc::channel(16);
        tokio::spawn(pump(transport.clone(), post));
        let peer = NodeId::new("b").unwrap();
        let envelope = Envelope { incarnation: Incarnation::NONE, beat: 3, message: Message::Join };
        let join = Blob::from(encode_frame(&envelope));
        let frame =
            |frame: &Blob| TransportEvent::Frame { peer: peer.clone(), frame: frame.clone() };
        let connected = TransportEvent::Connected { peer: peer.clone() };

        // Nonsense comes between two messages that make sense.
        speak.send(connected.clone()).unwrap();
        speak.send(frame(&join)).unwrap();
        speak.send(frame(&Blob::from([250, 0, 1].as_slice()))).unwrap();
        speak.send(frame(&join)).unwrap();
        speak.send(TransportEvent::Disconnected { peer: peer.clone() }).unwrap();

        let message = Input::Message { from: peer.clone(), envelope };
        assert_eq!(next(&mut mails).await, Input::Connected { peer: peer.clone() });
        assert_eq!(next(&mut mails).await, message);
        assert_eq!(next(&mut mails).await, Input::Disconnected { peer: peer.clone() });
        assert_eq!(transport.asked(), [Asked::Disconnect(peer.clone())]);

        // It comes back, and is believed as far as it makes sense.
        speak.send(connected).unwrap();
        speak.send(frame(&join)).unwrap();
        assert_eq!(next(&mut mails).await, Input::Connected { peer: peer.clone() });
        assert_eq!(next(&mut mails).await, message);
    }

    #[tokio::test]
    async fn a_pump_ends_with_its_node() {
        let (transport, _speak) = TestTransport::new();
        let (post, mails) = mpsc::channel(16);
        let pump = tokio::spawn(pump(transport, post));
        drop(mails);
        pump.await.unwrap();
    }
}
