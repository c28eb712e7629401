//! What all operations have in common: a deadline, and that they are awaited.

/// Gives the type `$operation` a deadline and makes it awaitable; it must have a field `timeout`
/// and an `async fn run(self) -> $output`.
macro_rules! operation {
    ($operation:ident $(<$kind:ident: $bound:path>)? => $output:ty) => {
        impl $(<$kind: $bound>)? $operation $(<$kind>)? {
            /// Sets how long to wait for the answer.
            pub fn timeout(mut self, timeout: std::time::Duration) -> Self {
                self.timeout = timeout;
                self
            }
        }

        impl $(<$kind: $bound>)? IntoFuture for $operation $(<$kind>)? {
            type Output = $output;
            type IntoFuture = ordu_core::transport::BoxFuture<Self::Output>;

            fn into_future(self) -> Self::IntoFuture {
                Box::pin(self.run())
            }
        }
    };
}

pub(crate) use operation;
