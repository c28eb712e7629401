//! Names, values and addresses.

use std::time::Duration;

use ordu::{
    Blob, CallError, ChildSpec, Loss, Name, NameEvent, Occupant, Recipient, RegisterError,
    Replicas, StartChildError, UnknownRegistry, UnregisterError, UpdateError,
};

use super::ground::{Clerk, brief, everywhere, idle};

/// B61, B62. Who holds a name cannot take it again, and nobody else can; it can take another.
/// B66, B67, B80, B85. What stands beside a name is read with it at once, and names are counted.
/// B127. A node reads its own writes at once, and every node those that all are to have.
#[test]
fn a_name_has_one_holder_and_all_read_it() {
    everywhere(3, async |ground| {
        let [a, b, c] = ground.nodes();
        let (mine, other) = (idle(&a).await, idle(&b).await);
        let carts = a.registry("carts");
        carts.register("cart/1", &mine).value("red").replicated(Replicas::All).await.unwrap();
        carts.register("cart/2", &mine).replicated(Replicas::All).await.unwrap();

        for node in [&a, &b, &c] {
            let registry = node.registry("carts");
            let found = registry.lookup("cart/1").unwrap();
            assert_eq!((found.process, &*found.value), (mine.clone(), b"red".as_slice()));
            assert_eq!((registry.count(), node.registry("default").count()), (2, 0));
            for process in [&mine, &other] {
                let taken = registry.register("cart/1", process).await;
                let holder = Occupant::Process(mine.clone());
                let name = Name::new("cart/1").unwrap();
                assert_eq!(taken.map(drop), Err(RegisterError::NameTaken { name, holder }));
            }
            assert_eq!(registry.names_of(&mine).len(), 2);
            assert_eq!(registry.names_of(&other), [], "who was refused holds nothing");
        }
        ground.end().await;
    });
}

/// B69. What a process was given through several nodes it holds. B68. Others hold nothing.
/// B77. What is given up is gone here at once, and everywhere soon. B78. Of what fits a question
/// only the caller's goes. B135. Nobody gives up what another holds.
#[test]
fn names_are_given_up_by_their_holder_alone() {
    everywhere(3, async |ground| {
        let [a, b, c] = ground.nodes();
        let (mine, other) = (idle(&a).await, idle(&c).await);
        for (node, name) in [(&a, "cart/1"), (&b, "cart/2"), (&c, "keep")] {
            node.registry("carts").register(name, &mine).replicated(Replicas::All).await.unwrap();
        }
        b.registry("carts").register("cart/3", &other).replicated(Replicas::All).await.unwrap();
        assert_eq!(a.registry("carts").names_of(&mine).len(), 3);
        assert_eq!(a.registry("default").names_of(&mine), []);

        let refused = b.registry("carts").unregister("cart/1", &other).await;
        let name = Name::new("cart/1").unwrap();
        let not_holder = UnregisterError::NotHolder { name, process: other.clone() };
        assert_eq!(refused, Err(not_holder));
        assert_eq!(c.registry("carts").lookup("cart/1").unwrap().process, mine);

        c.registry("carts").unregister("cart/2", &mine).await.unwrap();
        assert_eq!(c.registry("carts").lookup("cart/2"), None);
        let fits = |name: &Name, _: &ordu::Found| name.as_bytes().starts_with(b"cart/");
        let freed = a.registry("carts").unregister_matching(&mine, fits).await.unwrap();
        assert!(freed.contains(&Name::new("cart/1").unwrap()), "{freed:?}");
        for node in [&a, &b, &c] {
            let names = async || format!("{:?}", node.registry("carts").select().names().unwrap());
            ground.until("the rest", async || names().await == r#"["cart/3", "keep"]"#).await;
        }
        ground.end().await;
    });
}

/// B83. The holder changes what stands beside its name, gets old and new, and that shows at once.
/// B84. Nobody else does. Of changes from several nodes none is lost.
#[test]
fn values_are_changed_by_the_holder_alone() {
    everywhere(3, async |ground| {
        let [a, b, c] = ground.nodes();
        let (mine, other) = (idle(&a).await, idle(&b).await);
        let register = a.registry("carts").register("sum", &mine).value("0");
        register.replicated(Replicas::All).await.unwrap();
        let add = |old: &Blob| (old.to_string().parse::<u64>().unwrap() + 1).to_string();
        for node in [&a, &b, &c] {
            let registry = node.registry("carts");
            let (new, old) = registry.update("sum", &mine, add).await.unwrap();
            assert_eq!(add(&old), new.to_string());
            assert_eq!(registry.lookup("sum").unwrap().value, new);
            let name = Name::new("sum").unwrap();
            let refused = UpdateError::NotHolder { name, process: other.clone() };
            assert_eq!(registry.update("sum", &other, add).await, Err(refused));
        }
        assert_eq!(c.registry("carts").lookup("sum").unwrap().value.to_string(), "3");
        ground.end().await;
    });
}

/// B65, B86, B87, B88, B89. By its address a process is started, found, called and sent to from
/// every node; a second start under it is refused, with the first; where nobody is, or no registry,
/// that is said.
#[test]
fn whoever_has_an_address_is_reached_by_it() {
    everywhere(3, async |ground| {
        let [a, b, c] = ground.nodes();
        let via = a.registry("carts").via("cart/7").unwrap();
        assert_eq!(c.call::<Clerk>(&via, &1).await, Err(CallError::Nobody));
        assert_eq!(c.send::<Clerk>(&via, &1).await, Err(CallError::Nobody));

        let spec = ChildSpec::new::<Clerk>(&40).named_in("carts", "cart/7").value("new");
        let cart = a.supervisor("default").start_child(spec.clone()).await.unwrap();
        ground.rest().await;
        let again = b.supervisor("default").start_child(spec).await.unwrap_err();
        let StartChildError::NameTaken { holder, .. } = again else { panic!("{again}") };
        assert_eq!(holder, Occupant::Process(cart.process()));

        for (total, node) in (41..).zip([&a, &b, &c]) {
            assert_eq!(node.whereis(&via), Some(cart.process()));
            assert_eq!(node.registry("carts").lookup("cart/7").unwrap().child, Some(cart.id()));
            let to: Recipient = via.clone();
            assert_eq!(node.call::<Clerk>(to, &1).await, Ok(total));
        }
        assert_eq!(b.send::<Clerk>(&via, &7).await, Ok(()));
        let heard = async || b.call::<Clerk>(&via, &0).await == Ok(50);
        ground.until("the message", heard).await;

        let unknown = a.registry("crats").via("cart/7").unwrap();
        let declared = ["carts", "default", "rules"].map(str::to_owned).to_vec();
        let unknown_registry = UnknownRegistry { name: "crats".into(), declared };
        let refused = CallError::UnknownRegistry(unknown_registry);
        assert_eq!(b.send::<Clerk>(&unknown, &1).await, Err(refused));
        ground.end().await;
    });
}

/// B95. When a process ends its names are free, on every node. B97, B98. Whoever listens hears of a
/// name that is taken and freed, on the process's node and on others.
#[test]
fn names_end_with_their_process_and_listeners_hear_of_both() {
    everywhere(3, async |ground| {
        let [a, b, c] = ground.nodes();
        let listeners = [&a, &b].map(|node| node.registry("carts").subscribe().unwrap());
        let process = brief(&a).await;
        c.registry("carts").register("clerk", &process).replicated(Replicas::All).await.unwrap();
        assert_eq!(a.call::<Clerk>(&process, &1).await, Ok(0), "its last word");
        for node in [&a, &b, &c] {
            let registry = node.registry("carts");
            ground.until("the name to be free", async || registry.lookup("clerk").is_none()).await;
            assert_eq!((registry.count(), registry.names_of(&process)), (0, vec![]));
        }

        let name = || Name::new("clerk").unwrap();
        for mut names in listeners {
            let first = names.next().await.unwrap();
            assert_eq!(first, NameEvent::Snapshot { names: vec![], missed: 0 });
            let Some(NameEvent::Registered { name: taken, found }) = names.next().await else {
                panic!("it was taken")
            };
            assert_eq!((taken, found.process), (name(), process.clone()));
            let (loss, process) = (Loss::Ended, process.clone());
            let freed = NameEvent::Freed { name: name(), process, loss };
            assert_eq!(names.next().await, Some(freed));
        }
        ground.end().await;
    });
}

/// B126. Of many who ask for one name at one moment on one node, one gets it, and all others hear
/// who.
#[test]
fn of_many_who_ask_at_once_one_gets_the_name() {
    everywhere(2, async |ground| {
        let [a, b] = ground.nodes();
        let mut processes = Vec::new();
        for number in 0..20 {
            processes.push(idle(if number % 2 == 0 { &a } else { &b }).await);
        }
        let asked = processes.iter().map(|process| {
            let register = a.registry("carts").register("throne", process);
            register.timeout(Duration::from_secs(20)).into_future()
        });
        let answers = futures_util::future::join_all(asked).await;
        let kings = answers.iter().filter(|answer| answer.is_ok()).count();
        assert_eq!(kings, 1, "{answers:?}");
        let king = a.registry("carts").lookup("throne").unwrap().process;
        for answer in answers.iter().filter_map(|answer| answer.as_ref().err()) {
            let name = Name::new("throne").unwrap();
            let holder = Occupant::Process(king.clone());
            assert_eq!(*answer, RegisterError::NameTaken { name, holder });
        }
        ground.rest().await;
        assert_eq!(b.registry("carts").lookup("throne").unwrap().process, king);
        ground.end().await;
    });
}
