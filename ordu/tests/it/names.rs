//! Names, values and addresses, as users handle them.

use std::error::Error;
use std::time::Duration;

use ordu::{
    CallError, ChildSpec, Context, JoinGroupError, NameError, Node, ProcessId, Recipient,
    RegisterError, StartChildError, UnknownRegistry, UnregisterError, UpdateError,
};

use crate::over::{Echo, some_process};
use crate::world::alone;

/// Returns a node that has its place, with the registries `default` and `carts`.
pub(crate) async fn ready() -> Node {
    let node = alone().kind::<Echo>().registry("carts").groups("rooms").start().await.unwrap();
    node.ready(Duration::from_secs(10)).await.unwrap();
    node
}

/// Returns a process that runs until its node is over.
pub(crate) async fn idle(node: &Node) -> ProcessId {
    node.spawn(async |context: Context| context.stopped().await).await.unwrap()
}

/// B3. Any bytes are a name, and of text all that can be printed.
#[tokio::test(start_paused = true)]
async fn every_operation_says_what_is_wrong_with_a_name() {
    let node = ready().await;
    let (registry, groups) = (node.registry("default"), node.groups("rooms"));
    let process = idle(&node).await;
    let refusals = [
        (String::new(), NameError::Empty),
        ("x".repeat(513), NameError::TooLong { bytes: 513, max: 512 }),
        ("a\u{7}".into(), NameError::ControlCharacter { character: '\u{7}', at: 1 }),
    ];
    for (name, source) in refusals {
        let (name, source) = (name.as_str(), || source.clone());
        assert_eq!(registry.lookup(name), None);
        let called = registry.call::<Echo>(name, &1).await;
        assert_eq!(called, Err(CallError::BadName { source: source() }));
        let sent = registry.send::<Echo>(name, &1).await;
        assert_eq!(sent, Err(CallError::BadName { source: source() }));
        assert_eq!(registry.via(name), Err(source()));
        let registered = registry.register(name, &process).await;
        assert_eq!(registered, Err(RegisterError::BadName { source: source() }));
        let unregistered = registry.unregister(name, &process).await;
        assert_eq!(unregistered, Err(UnregisterError::BadName { source: source() }));
        let updated = registry.update(name, &process, |_| "").await;
        assert_eq!(updated, Err(UpdateError::BadName { source: source() }));
        let joined = groups.join(name, &process).await;
        assert_eq!(joined, Err(JoinGroupError::BadName { source: source() }));
        assert_eq!(groups.members(name), Ok(vec![]));

        let spec = ChildSpec::new::<Echo>(&()).named(name);
        let error = node.supervisor("default").start_child(spec).await.unwrap_err();
        assert_eq!(error, StartChildError::BadName { source: source() });
        assert_eq!(error.source().unwrap().to_string(), source().to_string());
    }

    // The same bytes that text may not hold are a name when they are given as bytes.
    registry.register(b"a\x07\xff", &process).await.unwrap();
    assert_eq!(registry.lookup(b"a\x07\xff").unwrap().process, process);
    node.halt().await;
}

/// B88. A registry that nobody declared is named by every operation, with those that exist.
#[tokio::test(start_paused = true)]
async fn a_slip_of_the_pen_in_the_name_of_a_registry_is_found() {
    let node = ready().await;
    let process = idle(&node).await;
    let unknown = |declared: [&str; 2]| UnknownRegistry {
        name: "crats".into(),
        declared: declared.iter().map(|&name| name.to_owned()).collect(),
    };
    let (registry, known) = (node.registry("crats"), unknown(["carts", "default"]));
    let registered = registry.register("x", &process).await;
    assert_eq!(registered, Err(RegisterError::UnknownRegistry(known.clone())));
    let text = "\"crats\" was not declared on this node; it has carts, default";
    assert_eq!(registered.unwrap_err().to_string(), text);
    let unregistered = registry.unregister("x", &process).await;
    assert_eq!(unregistered, Err(UnregisterError::UnknownRegistry(known.clone())));
    let freed = registry.unregister_matching(&process, |_, _| true).await;
    assert_eq!(freed, Err(UnregisterError::UnknownRegistry(known.clone())));
    let updated = registry.update("x", &process, |_| "").await;
    assert_eq!(updated, Err(UpdateError::UnknownRegistry(known.clone())));
    let called = registry.call::<Echo>("x", &1).await;
    assert_eq!(called, Err(CallError::UnknownRegistry(known.clone())));
    let sent = node.send::<Echo>(registry.via("x").unwrap(), &1).await;
    assert_eq!(sent, Err(CallError::UnknownRegistry(known.clone())));
    let alias = node.registry("carts").register("x", registry.via("x").unwrap()).await;
    assert_eq!(alias, Err(RegisterError::UnknownRegistry(known.clone())));
    let spec = ChildSpec::new::<Echo>(&()).named_in("crats", "x");
    let error = node.supervisor("default").start_child(spec).await.unwrap_err();
    assert_eq!(error, StartChildError::UnknownRegistry(known.clone()));
    assert_eq!(registry.select().entries(), Err(known.clone()));
    assert_eq!(registry.select().count(), Err(known.clone()));
    assert_eq!(registry.snapshot(), Err(known.clone()));
    assert_eq!(registry.subscribe().map(drop), Err(known));

    // What cannot fail finds nobody, in a registry that another node may well have declared.
    assert_eq!((registry.lookup("x"), registry.count()), (None, 0));
    assert_eq!(registry.names_of(&process), []);
    assert_eq!(node.whereis(registry.via("x").unwrap()), None);

    let (groups, known) = (node.groups("crats"), unknown(["default", "rooms"]));
    let joined = groups.join("x", &process).await;
    assert_eq!(joined, Err(JoinGroupError::UnknownRegistry(known.clone())));
    assert_eq!(groups.members("x"), Err(known.clone()));
    assert_eq!(groups.groups_of(&process), Err(known.clone()));
    assert_eq!(groups.names(), Err(known));
    node.halt().await;
}

/// B66, B82. A value given with a name is read with it.
/// B83. Whoever holds a name changes what stands beside it and gets both values; it shows at once.
/// B84, B135. Nobody else does.
#[tokio::test(start_paused = true)]
async fn a_value_is_changed_by_the_holder_of_the_name_alone() {
    let node = ready().await;
    let registry = node.registry("carts");
    let (holder, other) = (idle(&node).await, idle(&node).await);
    registry.register("cart/7", &holder).value("1").await.unwrap();
    assert_eq!(&*registry.lookup("cart/7").unwrap().value, b"1");

    let more = |old: &ordu::Blob| format!("{old}1");
    let (new, old) = registry.update("cart/7", &holder, more).await.unwrap();
    assert_eq!((&*new, &*old), (b"11".as_slice(), b"1".as_slice()));
    assert_eq!(registry.lookup("cart/7").unwrap().value, new);

    let name = ordu::Name::new("cart/7").unwrap();
    for process in [other, some_process()] {
        let refused = UpdateError::NotHolder { name: name.clone(), process: process.clone() };
        assert_eq!(registry.update("cart/7", process, more).await, Err(refused));
    }
    let updated = registry.update("cart/8", registry.via("cart/8").unwrap(), more).await;
    assert_eq!(updated, Err(UpdateError::Nobody));
    let (bytes, max) = ((64 << 10) + 1, 64 << 10);
    let updated = registry.update("cart/7", &holder, move |_| vec![0; bytes]).await;
    assert_eq!(updated, Err(UpdateError::TooLarge { bytes, max }));
    let registered = registry.register("cart/9", &holder).value(vec![0; bytes]).await;
    assert_eq!(registered, Err(RegisterError::TooLarge { bytes, max }));
    let spec = ChildSpec::new::<Echo>(&()).named("x").value(vec![0; bytes]);
    let error = node.supervisor("default").start_child(spec).await.unwrap_err();
    assert_eq!(error, StartChildError::ValueTooLarge { bytes, max });
    assert_eq!(registry.lookup("cart/7").unwrap().value, new);
    node.halt().await;
}

/// B127. Of changes that meet, none is lost.
#[tokio::test(start_paused = true)]
async fn changes_of_one_value_add_up() {
    let node = ready().await;
    let registry = node.registry("carts");
    let holder = idle(&node).await;
    registry.register("sum", &holder).value("0").await.unwrap();
    let add = |old: &ordu::Blob| (old.to_string().parse::<u64>().unwrap() + 1).to_string();
    let updates: Vec<_> =
        (0..50).map(|_| tokio::spawn(registry.update("sum", &holder, add).into_future())).collect();
    for update in updates {
        update.await.unwrap().unwrap();
    }
    assert_eq!(&*registry.lookup("sum").unwrap().value, b"50");
    node.halt().await;
}

/// B65, B67, B85, B86, B87, B89. Whoever is behind an address is called by it, and a second start
/// under a held name is refused with its holder.
#[tokio::test(start_paused = true)]
async fn whatever_can_be_addressed_is_addressed_alike() {
    let node = ready().await;
    let (registry, supervisor) = (node.registry("carts"), node.supervisor("default"));
    let via = registry.via("cart/7").unwrap();
    assert_eq!(node.call::<Echo>(&via, &1).await, Err(CallError::Nobody));
    assert_eq!(node.send::<Echo>(&via, &1).await, Err(CallError::Nobody));
    assert_eq!(node.whereis(&via), None);
    assert_eq!(registry.register("alias", &via).await, Err(RegisterError::Nobody));

    let spec = ChildSpec::new::<Echo>(&()).named_in("carts", "cart/7").value("first");
    let cart = supervisor.start_child(spec.clone()).await.unwrap();
    let again = supervisor.start_child(spec).await.unwrap_err();
    let StartChildError::NameTaken { holder, .. } = again else { panic!("{again}") };
    assert_eq!(holder, ordu::Occupant::Process(cart.process()));

    let of_child = Recipient::from(&cart);
    for to in [via.clone(), cart.process().into(), of_child.clone()] {
        assert_eq!(node.call::<Echo>(&to, &5).await, Ok(5), "{to}");
        assert_eq!(node.send::<Echo>(&to, &5).await, Ok(()), "{to}");
        assert_eq!(node.whereis(&to), Some(cart.process()), "{to}");
    }
    assert_eq!(node.call::<Echo>(&cart, &6).await, Ok(6));

    // It can be printed, and told to others.
    assert_eq!(via.to_string(), "cart/7 in carts");
    assert_eq!(of_child.to_string(), format!("child {}", cart.id()));
    let told = ordu_core::wire::encode(&via);
    assert_eq!(ordu_core::wire::decode::<Recipient>(&told), Ok(via.clone()));

    // An alias is of who is there now; the child's value is its own to change.
    registry.register("alias", &via).value("second").await.unwrap();
    assert_eq!(registry.lookup("alias").unwrap().process, cart.process());
    let (new, old) = registry.update("cart/7", &via, |_| "third").await.unwrap();
    assert_eq!((&*new, &*old), (b"third".as_slice(), b"first".as_slice()));
    let found = registry.lookup("cart/7").unwrap();
    assert_eq!((found.child, &*found.value), (Some(cart.id()), b"third".as_slice()));
    registry.unregister("alias", &via).await.unwrap();
    assert_eq!(registry.lookup("alias"), None);
    node.halt().await;
}
