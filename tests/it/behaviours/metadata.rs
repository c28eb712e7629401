//! Metadata of registries.

use ordu::{Blob, Replicas};

use super::ground::everywhere;

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
