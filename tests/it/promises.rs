//! The promises as their readers try them: one program, nine clusters, an exit status.

use serde_json::Value;

use crate::processes::run_example;

/// B125, B130 to B133, B136 to B139. Every promise that the predecessor breaks is kept, on real
/// sockets, by what was measured there.
#[test]
fn nine_promises_that_the_predecessor_breaks_are_kept() {
    let output = run_example("promises", &["--json"]);
    let (out, errors) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{}\n{out}\n{errors}", output.status);

    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let promises = report["promises"].as_array().unwrap();
    assert_eq!((promises.len(), &report["kept"]), (9, &9.into()));
    for promise in promises {
        assert_eq!(promise["kept"], true, "{promise}");
        let facts = promise["here"].as_array().unwrap();
        assert!(2 <= facts.len(), "{promise}");
        assert!(facts.iter().all(|fact| fact["as_promised"] == true), "{promise}");
    }
}

/// What is not understood is refused before anything is tried.
#[test]
fn what_the_promises_do_not_understand_is_refused() {
    let output = run_example("promises", &["--jsno"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(output.stdout.is_empty() && !output.stderr.is_empty());
}
