//! Metadata of registries.

use ordu::{Blob, Node, Replicas};

use super::ground::{everywhere, on_machines};

/// B91, B92. What is put is read, and of what is not nothing is read. B93, B94. Any node replaces
/// it and deletes it, for all.
#[test]
fn metadata_is_the_same_on_every_node() {
    everywhere(3, async |ground| {
        let [a, b, c] = ground.nodes();
        let read = |key: &str| [&a, &b, &c].map(|node| node.registry("carts").meta(key));
        assert_eq!(read("schema"), [None, None, None]);
        a.registry("carts").put_meta("schema", "3").replicated(Replicas::All).await.unwrap();
        assert_eq!(read("schema"), [(); 3].map(|()| Some(Blob::from("3"))));
        c.registry("carts").put_meta("schema", "4").replicated(Replicas::All).await.unwrap();
        assert_eq!(read("schema"), [(); 3].map(|()| Some(Blob::from("4"))));
        b.registry("carts").delete_meta("schema").replicated(Replicas::All).await.unwrap();
        assert_eq!(read("schema"), [None, None, None]);
        ground.end().await;
    });
}

/// B90. What nodes are given at their start is kept, once: all read the same, though each was given
/// something else. It is metadata like any other.
#[test]
fn metadata_may_be_given_at_the_start() {
    everywhere(3, async |ground| {
        let nodes: [Node; 3] = ground.nodes();
        let read = |key: &str| nodes.each_ref().map(|node| node.registry("rules").meta(key));
        assert_eq!(read("version"), [(); 3].map(|()| Some(Blob::from("1"))));
        let [made_by, others @ ..] = read("made-by");
        assert_eq!(others, [made_by.clone(), made_by.clone()]);
        let given = ["n1", "n2", "n3"].map(|name| Some(Blob::from(name)));
        assert!(given.contains(&made_by), "{made_by:?}");

        let rules = nodes[1].registry("rules");
        rules.put_meta("version", "2").replicated(Replicas::All).await.unwrap();
        assert_eq!(read("version"), [(); 3].map(|()| Some(Blob::from("2"))));
        ground.end().await;
    });
}

/// B90. Who starts later, with what it was given then, changes nothing of what is there.
#[test]
fn metadata_given_at_a_later_start_changes_nothing() {
    on_machines(3, async |mut ground| {
        let [a] = ground.nodes();
        let before = a.registry("rules").meta("made-by");
        a.registry("rules").put_meta("version", "2").replicated(Replicas::All).await.unwrap();
        ground.restart(3);
        ground.rest().await;
        let again = ground.present(3);
        for node in [&a, &again] {
            assert_eq!(node.registry("rules").meta("made-by"), before);
            assert_eq!(node.registry("rules").meta("version"), Some(Blob::from("2")));
        }
        ground.end().await;
    });
}
