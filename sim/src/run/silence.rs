//! Panics that a run expects: caught, and not printed.

use std::cell::{Cell, RefCell};
use std::panic;
use std::sync::Once;

thread_local! {
    static IS_SILENT: Cell<bool> = const { Cell::new(false) };
    static PLACE: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Does `work`; a panic in it prints nothing, but leaves its place for [`last_place`].
pub(crate) fn keep<R>(work: impl FnOnce() -> R) -> R {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if !IS_SILENT.get() {
                return before(info);
            }
            let place = info.location().map(|place| format!("({place})"));
            PLACE.with_borrow_mut(|kept| *kept = place);
        }));
    });
    PLACE.with_borrow_mut(|place| *place = None);
    let was_silent = IS_SILENT.replace(true);
    let result = work();
    IS_SILENT.set(was_silent);
    result
}

/// Returns where the last silent panic of this thread was.
pub(crate) fn last_place() -> Option<String> {
    PLACE.with_borrow(Clone::clone)
}
