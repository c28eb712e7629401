//! Two sides, the bytes between them, and everybody who should not get in.

use ordu_core::wire::{PROTOCOL_MAX, PROTOCOL_MIN};
use proptest::prelude::*;

use super::*;
use crate::noise::derive_key;
use crate::secret::Secret;

const DIALER: Entropy = Entropy { key: [1; 32], nonce: 11 };
const ACCEPTOR: Entropy = Entropy { key: [2; 32], nonce: 22 };

fn secret(first: u8) -> Secret {
    Secret::from_bytes((first..first + 32).collect::<Vec<u8>>()).unwrap()
}

fn identity(cluster: &str, node: &str, secret: Option<Secret>) -> Arc<Identity> {
    let greeting = Greeting::new(cluster, NodeId::new(node).unwrap());
    let key = secret.map(|secret| derive_key(&secret, cluster));
    Arc::new(Identity { greeting, life: node.len() as u64, key })
}

fn shop(node: &str) -> Arc<Identity> {
    identity("shop", node, Some(secret(0)))
}

fn statement() -> Statement {
    Statement { number: 5, holds: vec![SessionId(1, 2)] }
}

/// Runs a handshake; what both sides are left with, or each one's error.
fn run(
    dialer: Arc<Identity>,
    acceptor: Arc<Identity>,
    chunk: usize,
) -> Result<(Handshake, Handshake), (Option<HandshakeError>, Option<HandshakeError>)> {
    let mut sides = [Handshake::dialer(dialer, DIALER), Handshake::acceptor(acceptor, ACCEPTOR)];
    let mut errors = [None, None];
    for turn in 0..8 {
        let [from, to] = [turn % 2, 1 - turn % 2];
        let bytes = sides[from].take_output();
        for bytes in bytes.chunks(chunk) {
            if errors[to].is_some() {
                break;
            }
            match sides[to].handle(bytes) {
                Ok(Step::Read) | Ok(Step::Answered(Verdict { admitted: true, number: 9 })) => (),
                Ok(Step::State(peer)) => {
                    assert_eq!((peer.node.as_str(), peer.session), ("bb", SessionId(11, 22)));
                    sides[to].state(&statement());
                }
                Ok(Step::Decide(peer, stated)) => {
                    assert_eq!((peer.node.as_str(), peer.session), ("a", SessionId(11, 22)));
                    assert_eq!((peer.life, stated), (1, statement()));
                    sides[to].decide(Verdict { admitted: true, number: 9 });
                }
                Ok(step) => panic!("unexpected {step:?}"),
                Err(error) => errors[to] = Some(error),
            }
        }
    }
    let [dialer, acceptor] = sides;
    match errors {
        [None, None] => Ok((dialer, acceptor)),
        [dialer, acceptor] => Err((dialer, acceptor)),
    }
}

#[test]
fn two_nodes_of_a_cluster_end_with_one_channel() {
    for secret in [Some(secret(0)), None] {
        for chunk in [1, 7, 10_000] {
            let (a, b) =
                (identity("shop", "a", secret.clone()), identity("shop", "bb", secret.clone()));
            let Ok((dialer, acceptor)) = run(a, b, chunk) else {
                panic!("refused in chunks of {chunk}");
            };
            let ((at_a, rest_a), (at_b, rest_b)) = (dialer.into_channel(), acceptor.into_channel());
            assert!(rest_a.is_empty() && rest_b.is_empty());

            let (mut sealed, mut opened) = (Vec::new(), Vec::new());
            at_a.seal(1, b"hello", &mut sealed);
            assert_eq!(at_b.open(1, &sealed, &mut opened), Ok(()));
            assert_eq!(opened, b"hello");
            if secret.is_some() {
                assert_eq!(at_b.open(2, &sealed, &mut opened), Err(NotSealed), "the wrong place");
                assert_eq!(at_a.open(1, &sealed, &mut opened), Err(NotSealed), "our own words");
            }
        }
    }
}

#[test]
fn the_same_randomness_gives_the_same_bytes() {
    let hello = |entropy| Handshake::dialer(shop("a"), entropy).take_output();
    assert_eq!(hello(DIALER), hello(DIALER));
    assert_ne!(hello(DIALER), hello(ACCEPTOR));
}

#[test]
fn who_has_another_secret_or_cluster_is_told_so() {
    let strangers =
        [identity("shop", "a", Some(secret(1))), identity("shed", "a", Some(secret(0)))];
    for stranger in strangers {
        let Err((at_stranger, at_us)) = run(stranger, shop("bb"), 100) else {
            panic!("a stranger got in");
        };
        assert_eq!(at_us, Some(HandshakeError::NotAuthenticated));
        assert_eq!(at_stranger, Some(HandshakeError::Alerted(Alert::NotAuthenticated)));
    }
}

#[test]
fn plain_text_and_encryption_do_not_mix() {
    let plain = || identity("shop", "a", None);
    let Err(errors) = run(plain(), shop("bb"), 100) else { panic!("plain text got in") };
    assert_eq!(
        errors,
        (Some(HandshakeError::PeerHasSecret), Some(HandshakeError::PeerHasNoSecret))
    );
    let Err(errors) = run(shop("a"), identity("shop", "bb", None), 100) else {
        panic!("spoke plain text to a secret");
    };
    assert_eq!(
        errors,
        (Some(HandshakeError::PeerHasNoSecret), Some(HandshakeError::PeerHasSecret))
    );
}

#[test]
fn greetings_that_do_not_agree_are_refused_on_both_sides() {
    // In plain text, where no key tells the clusters apart.
    let Err((a, b)) = run(identity("shop", "a", None), identity("shed", "bb", None), 100) else {
        panic!("another cluster got in");
    };
    assert!(matches!(a, Some(HandshakeError::Greeting(GreetingError::OtherCluster { .. }))));
    assert!(matches!(b, Some(HandshakeError::Greeting(GreetingError::OtherCluster { .. }))));

    let twin = |life| {
        let greeting = Greeting::new("shop", NodeId::new("a").unwrap());
        Arc::new(Identity { greeting, life, key: None })
    };
    let Err((a, b)) = run(twin(1), twin(2), 100) else { panic!("met its twin") };
    assert!(matches!(a, Some(HandshakeError::Greeting(GreetingError::OurOwnName { .. }))));
    assert!(matches!(b, Some(HandshakeError::Greeting(GreetingError::OurOwnName { .. }))));
    let Err((a, b)) = run(twin(1), twin(1), 100) else { panic!("met itself") };
    assert_eq!((a, b), (Some(HandshakeError::Ourselves), Some(HandshakeError::Ourselves)));
}

#[test]
fn an_older_node_and_a_newer_one_name_their_versions() {
    let mut newer = Greeting::new("shop", NodeId::new("a").unwrap());
    (newer.protocol_min, newer.protocol_max) = (PROTOCOL_MAX + 1, PROTOCOL_MAX + 2);
    let key = Some(derive_key(&secret(0), "shop"));
    let newer = Arc::new(Identity { greeting: newer, life: 1, key });
    let Err((_, at_us)) = run(newer, shop("bb"), 100) else { panic!("no version is common") };
    let Some(error) = at_us else { panic!("we did not notice") };
    assert!(error.to_string().contains(&format!("{PROTOCOL_MIN} to {PROTOCOL_MAX}")), "{error}");
}

/// What a node hears first from those who do not speak to nodes at all.
#[test]
fn strangers_are_recognized_at_their_first_byte() {
    let strangers: [&[u8]; 5] =
        [b"GET / HTTP/1.1\r\n\r\n", b"SSH-2.0-OpenSSH_9.9\r\n", b"\x16\x03\x01", b"\0", b"ordx"];
    for bytes in strangers {
        let mut acceptor = Handshake::acceptor(shop("bb"), ACCEPTOR);
        assert_eq!(acceptor.handle(bytes), Err(HandshakeError::NotOrdu), "{bytes:?}");
        assert!(acceptor.take_output().is_empty(), "strangers are not answered");
    }
    let mut acceptor = Handshake::acceptor(shop("bb"), ACCEPTOR);
    let error = acceptor.handle(b"ordu\x09\x01").unwrap_err();
    assert_eq!(error, HandshakeError::OtherExchange { theirs: 9 });
}

#[test]
fn our_own_handshake_sent_back_to_us_is_refused() {
    let mut dialer = Handshake::dialer(shop("a"), DIALER);
    let hello = dialer.take_output();
    assert_eq!(dialer.handle(&hello), Err(HandshakeError::NotAuthenticated));
}

#[test]
fn a_message_over_the_limit_is_refused_by_its_length_alone() {
    for (length, refused) in [(0, true), (1, false), (4_096, false), (4_097, true), (65_535, true)]
    {
        let mut acceptor = Handshake::acceptor(shop("bb"), ACCEPTOR);
        assert_eq!(acceptor.handle(&preamble(true)), Ok(Step::Read));
        let result = acceptor.handle(&u16::to_be_bytes(length));
        assert_eq!(result.is_err(), refused, "{length}: {result:?}");
    }
}

/// Everything that the acceptor of [`run`] hears, up to its decision.
fn heard() -> Vec<Vec<u8>> {
    let (mut dialer, mut acceptor) =
        (Handshake::dialer(shop("a"), DIALER), Handshake::acceptor(shop("bb"), ACCEPTOR));
    let hello = dialer.take_output();
    acceptor.handle(&hello).unwrap();
    assert!(matches!(dialer.handle(&acceptor.take_output()), Ok(Step::State(_))));
    dialer.state(&statement());
    let stated = dialer.take_output();
    assert!(matches!(acceptor.handle(&stated), Ok(Step::Decide(..))));
    vec![hello, stated]
}

/// Hands `messages` to an acceptor; whether it was ever asked to decide.
fn decides(messages: &[Vec<u8>]) -> bool {
    let mut acceptor = Handshake::acceptor(shop("bb"), ACCEPTOR);
    for message in messages {
        match acceptor.handle(message) {
            Ok(Step::Read) => (),
            Ok(Step::Decide(..)) => return true,
            Ok(step) => panic!("unexpected {step:?}"),
            Err(_) => return false,
        }
        acceptor.take_output();
    }
    false
}

#[test]
fn every_flipped_bit_and_every_cut_keeps_the_peer_out() {
    let heard = heard();
    assert!(decides(&heard), "unchanged it gets through");
    for (index, message) in heard.iter().enumerate() {
        for bit in 0..message.len() * 8 {
            let mut changed = heard.clone();
            changed[index][bit / 8] ^= 1 << (bit % 8);
            assert!(!decides(&changed), "message {index} with bit {bit} flipped");
        }
        for length in 0..message.len() {
            let mut cut = heard.clone();
            cut[index].truncate(length);
            assert!(!decides(&cut), "message {index} cut to {length} bytes");
        }
    }
}

#[test]
fn messages_twice_or_out_of_order_keep_the_peer_out() {
    let [hello, stated] = <[_; 2]>::try_from(heard()).unwrap();
    assert!(!decides(&[stated.clone(), hello.clone()]));
    assert!(!decides(&[hello.clone(), hello.clone()]));
    // A replayed conversation meets another ephemeral key.
    let mut acceptor =
        Handshake::acceptor(shop("bb"), Entropy { key: [3; 32], nonce: ACCEPTOR.nonce });
    assert_eq!(acceptor.handle(&hello), Ok(Step::Read));
    assert_eq!(acceptor.handle(&stated), Err(HandshakeError::NotAuthenticated));
}

proptest! {
    /// Whatever arrives, nobody panics, and nothing but the secret gets in.
    #[test]
    fn noise_is_not_let_in(
        chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 0..8),
        preambled in any::<bool>(),
        dialer in any::<bool>(),
    ) {
        let mut side = if dialer {
            Handshake::dialer(shop("a"), DIALER)
        } else {
            Handshake::acceptor(shop("bb"), ACCEPTOR)
        };
        let start = if preambled { Vec::from(preamble(true)) } else { Vec::new() };
        for bytes in std::iter::once(start).chain(chunks) {
            match side.handle(&bytes) {
                Ok(step) => prop_assert_eq!(step, Step::Read),
                Err(_) => break,
            }
        }
    }
}
