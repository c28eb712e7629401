//! Bytes and hashes that must never change: other versions of this program read them.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use ordu_core::crdt::{Delta, DeltaEntry, Written};
use std::collections::BTreeSet;

use ordu_core::message::{
    Accepted, Ack, Ballot, Beat, Call, CallFailure, CallReply, Cast, Condition, Digest, DigestRow,
    Electorate, Envelope, Excluded, Forward, Forwarded, Hello, LeaseReply, LeaseRequest, Link,
    Message, Need, Operation, Probe, Proposal, Publish, Pulse, Refusal, Seat, Unpromised, Vote,
    VoteAnswer, Welcome, Won, Yield,
};
use ordu_core::wire::{Greeting, decode, decode_frame, encode, encode_frame};
use ordu_core::{
    Address, Blob, ChildId, Incarnation, Name, NodeId, Occupant, Replica, ReplicaKey, RequestId,
    Scope, Stamp, Terms, Time, Wall, hash64, hash64_seeded, hash128,
};

fn replica() -> Replica {
    Replica::new(NodeId::new("a").unwrap(), Incarnation { counter: 2, nonce: 300 })
}

fn messages() -> Vec<Message> {
    let scope = Scope::named("default");
    let name = Name::new("cart/7").unwrap();
    let child = ChildId::from_bytes([9; 16]);
    let key = ReplicaKey(7);
    let (address, blob) = (Address::new("h:1").unwrap(), Blob::from("xyz"));
    let time = Time::from_micros(5);
    let wall = Wall::from_millis(1_000);
    let rule = "oldest/1".into();
    let row = DigestRow { replica: replica(), head: 9, fingerprint: 8, floor: 3, silence_ms: 4 };
    let entry = DeltaEntry { step: 1, key: Blob::from("k"), written: Written::Value(blob.clone()) };
    let gone = DeltaEntry { step: 2, key: Blob::from("l"), written: Written::Deleted(1) };
    let (a, b) = (NodeId::new("a").unwrap(), NodeId::new("b").unwrap());
    let nodes = BTreeSet::from([a, b]);
    let electorate = Electorate { epoch: 2, nodes: nodes.clone(), lineage: vec![9] };
    let terms = Terms { electorate: Some(electorate.clone()), digest: 300 };
    let ballot = Ballot { round: 3, proposer: key };
    let accepted = Some(Accepted { ballot, nodes: nodes.clone() });
    let link = Link::Refused;
    let pulse = Pulse { replica: key, counter: 1, age_ms: 2, head: 3, link, silent_ms: 4 };
    vec![
        Message::Hello(Hello { sent: time, wall, rule, echo: Some(time), ring: 1, terms }),
        Message::Join,
        Message::Welcome(Welcome {
            counter: 3,
            stamp: Stamp::first_of(wall),
            members: vec![(NodeId::new("b").unwrap(), address)],
        }),
        Message::Beat(Beat { pulses: vec![pulse] }),
        Message::Digest(Digest { rows: vec![row], answer: true }),
        Message::Need(Need { replica: replica(), from: 4 }),
        Message::Delta(Delta {
            replica: replica(),
            from: 1,
            to: 4,
            until: 5,
            floor: 0,
            silence_ms: 0,
            entries: vec![entry, gone],
        }),
        Message::Ack(Ack { heads: vec![(key, 5)] }),
        Message::Won(Won { seat: Seat::Child(scope, child), winner: 1, loser: 2 }),
        Message::Yield(Yield {
            seat: Seat::Name(scope, name.clone()),
            winner: 1,
            loser: 2,
            round: 3,
            state: Some(blob.clone()),
        }),
        Message::Forward(Forward {
            id: 1,
            operation: Operation::Register {
                scope,
                name: name.clone(),
                number: 2,
                value: blob.clone(),
            },
        }),
        Message::Forward(Forward {
            id: 1,
            operation: Operation::Unregister { scope, name: name.clone(), number: 2 },
        }),
        Message::Forwarded(Forwarded { id: 1, result: Ok(7) }),
        Message::Forwarded(Forwarded { id: 1, result: Err(Refusal::NotHolder) }),
        Message::Call(Call { id: 1, number: 2, remaining_ms: 3, payload: blob.clone() }),
        Message::Reply(CallReply { id: 1, result: Err(CallFailure::Malformed) }),
        Message::Cast(Cast { number: 2, payload: blob.clone() }),
        Message::Probe(Probe { id: 1 }),
        Message::Condition(Condition { id: 1, view: 2, pending: 3 }),
        Message::Forward(Forward {
            id: 1,
            operation: Operation::Update {
                scope,
                name: name.clone(),
                number: 2,
                expected: blob.clone(),
                value: Blob::default(),
            },
        }),
        Message::Forward(Forward {
            id: 1,
            operation: Operation::JoinGroup {
                scope,
                group: name.clone(),
                number: 2,
                metadata: blob.clone(),
            },
        }),
        Message::Forward(Forward {
            id: 1,
            operation: Operation::LeaveGroup { scope, group: name.clone(), number: 2 },
        }),
        Message::Forward(Forward { id: 1, operation: Operation::RestartChild { scope, child } }),
        Message::Forwarded(Forwarded {
            id: 1,
            result: Err(Refusal::Changed { value: blob.clone() }),
        }),
        Message::Forwarded(Forwarded {
            id: 1,
            result: Err(Refusal::NameTaken { holder: Occupant::Child(child) }),
        }),
        Message::Publish(Publish { scope, group: name, payload: blob }),
        Message::Excluded(Excluded::NotListed),
        Message::Excluded(Excluded::Evicted(Incarnation { counter: 1, nonce: 77 })),
        Message::LeaseRequest(LeaseRequest { epoch: 1, attempt: 2 }),
        Message::LeaseReply(LeaseReply {
            session: key,
            epoch: 1,
            attempt: 2,
            part: 0,
            parts: 1,
            have: 3,
            refused: vec![Unpromised { scope, child, remaining_ms: 4, ballot: 300 }],
            abstains_ms: 0,
        }),
        Message::Electorate(electorate),
        Message::Proposal(Proposal { epoch: 2, ballot, nodes: Some(nodes) }),
        Message::Vote(Vote { epoch: 2, ballot, answer: VoteAnswer::Promised { accepted } }),
    ]
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// One frame of every kind, as version 1 of the protocol has it.
#[test]
fn frames_are_what_they_were() {
    let golden: Vec<&str> = include_str!("golden/frames.txt").lines().collect();
    let incarnation = Incarnation { counter: 1, nonce: 77 };
    let frames = messages().into_iter().map(|message| {
        let envelope = Envelope { incarnation, beat: 6, message };
        let frame = encode_frame(&envelope);
        assert_eq!(decode_frame(&frame), Ok(Some(envelope)));
        hex(&frame)
    });
    let frames: Vec<String> = frames.collect();
    assert_eq!(frames, golden, "the wire format moved:\n{}\n", frames.join("\n"));
}

/// No byte of a frame can be cut off or added without notice.
#[test]
fn frames_with_more_or_less_are_refused() {
    for message in messages() {
        let frame = encode_frame(&Envelope { incarnation: Incarnation::NONE, beat: 0, message });
        for end in 0..frame.len() {
            assert!(decode_frame(&frame[..end]).is_err(), "{} of {}", end, hex(&frame));
        }
        let longer = [frame.as_slice(), &[0]].concat();
        assert!(decode_frame(&longer).is_err(), "{}", hex(&longer));
    }
}

/// What a newer peer says is skipped if it may be, and refused if it may not.
#[test]
fn unknown_messages_are_skipped_or_refused() {
    assert_eq!(decode_frame(&[200, 1, 9, 9]), Ok(None));
    assert!(decode_frame(&[200, 0, 9, 9]).is_err());
}

#[test]
fn greetings_are_what_they_were() {
    let greeting = Greeting::new("shop", NodeId::new("a").unwrap());
    assert_eq!(hex(&encode(&greeting)), "0473686f7001610101");
    assert_eq!(decode::<Greeting>(&encode(&greeting)), Ok(greeting));
}

#[test]
fn hashes_are_what_they_were() {
    assert_eq!(hash64(b""), 0x2d06_8005_38d3_94c2);
    assert_eq!(hash64(b"ordu"), 0x51f4_5fbd_0a8b_554d);
    assert_eq!(hash64_seeded(b"ordu", 1), 0x01b5_8f9f_eb31_7d51);
    assert_eq!(hash128(b"ordu"), 0xf27a_4989_3cf3_c5ba_445b_8ca8_65c9_9c5f);
    assert_eq!(replica().key().0, 0x8979_ce2e_a912_39b8);
    let request = RequestId { origin: replica(), counter: 1, stamp: Stamp::first_of(Wall::MAX) };
    assert_eq!(ChildId::of(&request).to_string(), "f25ba8adf6ef37b319e9543246fcbe35");
}
