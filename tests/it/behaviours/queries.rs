//! Questions about many names at once.

use ordu::{Found, Name, Node, Replicas};

use super::ground::{everywhere, idle};

/// B70, B71. All names with holders and values, on every member (B75); none at first.
/// B72, B73, B74, B81, B82. What fits a prefix, and a question of the caller's own about name,
/// holder and value, be it listed or counted; it is code, so it cannot be malformed (B76).
/// B79. Code of the caller's is run with a holder, and not run where there is none.
#[test]
fn questions_are_answered_alike_on_every_node() {
    everywhere(3, async |ground| {
        let [a, b, c] = ground.nodes();
        let all = |node: &Node| node.registry("carts").select().entries().unwrap();
        assert_eq!(all(&b), []);
        let (first, second) = (idle(&a).await, idle(&c).await);
        for number in 0..10 {
            let process = if number % 2 == 0 { &first } else { &second };
            let name = format!("cart/{number}");
            let register = a.registry("carts").register(name, process).value(number.to_string());
            register.replicated(Replicas::All).await.unwrap();
        }
        a.registry("carts").register("car", &first).replicated(Replicas::All).await.unwrap();

        for node in [&a, &b, &c] {
            let registry = node.registry("carts");
            assert_eq!((registry.count(), all(node).len()), (11, 11));
            let of_first = |_: &Name, found: &Found| found.process == first;
            let large = |_: &Name, found: &Found| *b"5".as_slice() < *found.value;
            let carts = || registry.select().prefix("cart/");
            assert_eq!(carts().count(), Ok(10));
            assert_eq!(carts().filter(of_first).count(), Ok(5));
            let both = carts().filter(of_first).filter(large).names().unwrap();
            assert_eq!(format!("{both:?}"), r#"["cart/6", "cart/8"]"#);
            let told = registry.lookup("cart/3").map(|found| (found.process, found.value));
            assert_eq!(told, Some((second.clone(), "3".into())));
            assert_eq!(registry.lookup("cart/x").map(|_| panic!("nobody is there")), None::<()>);
        }
        ground.end().await;
    });
}
