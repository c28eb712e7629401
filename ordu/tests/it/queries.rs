//! Questions about many names at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use ordu::{ChildSpec, Found, Name, Registry};

use crate::names::{idle, ready};
use crate::over::Echo;

fn texts(names: impl IntoIterator<Item = Name>) -> Vec<String> {
    names.into_iter().map(|name| name.to_string()).collect()
}

fn all(registry: &Registry) -> Vec<String> {
    texts(registry.select().names().unwrap())
}

/// B70, B71, B80. All names with their holders and values; none at first.
/// B72, B73, B74, B81, B82. What fits a prefix, a predicate over name, holder and value, or several
/// of them; a question cannot be malformed (B76): it is code.
#[tokio::test(start_paused = true)]
async fn names_are_found_by_prefix_and_by_what_they_hold() {
    let node = ready().await;
    let registry = node.registry("carts");
    assert_eq!(registry.select().entries(), Ok(vec![]));
    assert_eq!((registry.select().count(), registry.count()), (Ok(0), 0));

    let (a, b) = (idle(&node).await, idle(&node).await);
    for number in 0..20 {
        let process = if number % 2 == 0 { &a } else { &b };
        let name = format!("cart/{number:02}");
        registry.register(name, process).value(number.to_string()).await.unwrap();
    }
    registry.register("cars", &a).await.unwrap();
    registry.register("cart0", &b).await.unwrap();
    node.registry("default").register("cart/99", &a).await.unwrap();

    assert_eq!(registry.count(), 22);
    assert_eq!(registry.select().prefix("cart/").count(), Ok(20));
    assert_eq!(registry.select().prefix("cart/1").limit(3).count(), Ok(3));
    let of_a = |_: &Name, found: &Found| found.process == a;
    let carts = || registry.select().prefix("cart/");
    assert_eq!(carts().filter(of_a).count(), Ok(10));
    let large = |_: &Name, found: &Found| 1 < found.value.len();
    assert_eq!(
        texts(carts().filter(of_a).filter(large).limit(3).names().unwrap()),
        ["cart/10", "cart/12", "cart/14"]
    );
    let by_name = registry.select().filter(|name, _| name.as_bytes().ends_with(b"s"));
    assert_eq!(texts(by_name.names().unwrap()), ["cars"]);

    // A filter may ask questions itself.
    let twins = |name: &Name, found: &Found| {
        registry.names_of(&found.process).contains(name) && registry.select().count() == Ok(22)
    };
    assert_eq!(registry.select().filter(twins).count(), Ok(22));
    let snapshot = registry.snapshot().unwrap();
    assert_eq!(snapshot.len(), 22);
    assert_eq!(snapshot[b"cart/07".as_slice()].process, b);
    node.halt().await;
}

#[tokio::test(start_paused = true)]
async fn pages_make_up_the_whole() {
    let node = ready().await;
    let registry = node.registry("carts");
    let process = idle(&node).await;
    for number in 0..25 {
        registry.register(format!("cart/{number}"), &process).await.unwrap();
    }
    let (mut pages, mut last) = (Vec::new(), None::<Name>);
    loop {
        let select = registry.select().prefix("cart/").limit(10);
        let select = match &last {
            Some(last) => select.after(last),
            None => select,
        };
        let page = select.names().unwrap();
        let Some(end) = page.last() else { break };
        last = Some(end.clone());
        pages.push(page);
    }
    assert_eq!(pages.iter().map(Vec::len).collect::<Vec<_>>(), [10, 10, 5]);
    assert_eq!(texts(pages.concat()), all(&registry));
    node.halt().await;
}

/// B78. A process gives up those of its names that fit, and nobody else's.
/// B68. Of a process without names there are none. B77. They are gone here at once.
#[tokio::test(start_paused = true)]
async fn a_process_gives_up_the_names_that_fit() {
    let node = ready().await;
    let registry = node.registry("carts");
    let spec = ChildSpec::new::<Echo>(&()).named_in("carts", "cart/own");
    let cart = node.supervisor("default").start_child(spec).await.unwrap();
    let other = idle(&node).await;
    for name in ["cart/1", "cart/2", "keep"] {
        registry.register(name, &cart).value(name).await.unwrap();
    }
    registry.register("cart/3", &other).await.unwrap();

    let fits = |name: &Name, _: &Found| name.as_bytes().starts_with(b"cart/");
    let freed = registry.unregister_matching(&cart, fits).await.unwrap();
    assert_eq!(texts(freed), ["cart/1", "cart/2"]);
    // Not the name that the child was started with, nor what others hold.
    assert_eq!(all(&registry), ["cart/3", "cart/own", "keep"]);
    let freed = registry.unregister_matching(&cart, |_, found| &*found.value == b"keep").await;
    assert_eq!(texts(freed.unwrap()), ["keep"]);
    assert_eq!(texts(registry.names_of(&cart.process())), ["cart/own"]);
    assert_eq!(registry.names_of(&idle(&node).await), []);
    node.halt().await;
}

/// B79. Code of the caller's is run with who holds a name, and not run if nobody does.
#[tokio::test(start_paused = true)]
async fn a_holder_is_handed_to_code_of_the_callers() {
    let node = ready().await;
    let registry = node.registry("carts");
    let process = idle(&node).await;
    registry.register("x", &process).value("v").await.unwrap();
    let told = registry.lookup("x").map(|found| (found.process, found.value.to_string()));
    assert_eq!(told, Some((process, "v".to_owned())));
    assert_eq!(registry.lookup("y").map(|_| panic!("nobody is there")), None::<()>);
    node.halt().await;
}

/// Names come, move and go in a fixed order; whatever a question sees, it sees of one moment.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_question_is_answered_of_one_moment() {
    let node = ready().await;
    let registry = node.registry("carts");
    let process = idle(&node).await;
    for name in ["left", "right"] {
        registry.register(name, &process).value("0").await.unwrap();
    }
    let stop = Arc::new(AtomicBool::new(false));
    let reader = std::thread::spawn({
        let (registry, stop) = (registry.clone(), Arc::clone(&stop));
        move || {
            let (mut asked, mut seen) = (0, 0_u64);
            while !stop.load(Ordering::Relaxed) {
                let names = registry.snapshot().unwrap();
                let number =
                    |name: &str| names[name.as_bytes()].value.to_string().parse::<u64>().unwrap();
                let (left, right) = (number("left"), number("right"));
                assert!(left == right || left == right + 1, "{left} beside {right}");
                // Between the two steps there is a third name, and only then.
                assert!(names.contains_key(b"between".as_slice()) <= (left == right + 1));
                assert!(seen <= left, "{left} after {seen}");
                (asked, seen) = (asked + 1, left);
            }
            asked
        }
    });
    for step in 1..=500_u64 {
        registry.update("left", &process, move |_| step.to_string()).await.unwrap();
        registry.register("between", &process).await.unwrap();
        registry.unregister("between", &process).await.unwrap();
        registry.update("right", &process, move |_| step.to_string()).await.unwrap();
    }
    stop.store(true, Ordering::Relaxed);
    assert!(0 < reader.join().unwrap());
    node.halt().await;
}
