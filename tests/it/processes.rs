//! The tour as its users run it: real processes, real signals, an exit status.

use std::env;
use std::fs;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;
use std::time::{SystemTime, UNIX_EPOCH};

use ordu_tests::root;
use serde_json::Value;

/// Builds the examples as the rest of the workspace was built, and returns where they are.
pub(crate) fn examples() -> PathBuf {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    let build = || {
        let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let built = ["--example", "tour", "--example", "promises", "--example", "exclusive"];
        let mut command = Command::new(cargo);
        command.args(["build", "--workspace", "--locked"]).args(built).current_dir(root());
        let output = command.output().unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "the examples do not build: {errors}");
        // This test is `target/debug/deps/it-…`.
        let debug = env::current_exe().unwrap();
        debug.parent().unwrap().parent().unwrap().join("examples")
    };
    BUILT.get_or_init(build).clone()
}

/// Runs the example called `name` to its end.
pub(crate) fn run_example(name: &str, arguments: &[&str]) -> Output {
    let example = examples().join(name);
    Command::new(example).args(arguments).stdin(Stdio::null()).output().unwrap()
}

fn run(arguments: &[&str]) -> Output {
    run_example("tour", arguments)
}

/// Writes `names` into a file of its own, which is removed with the value.
struct NamesFile(PathBuf);

impl NamesFile {
    fn new(names: &[u8]) -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos();
        let path = env::temp_dir().join(format!("ordu-names-{}-{now}", std::process::id()));
        fs::write(&path, names).unwrap();
        Self(path)
    }

    fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for NamesFile {
    fn drop(&mut self) {
        // Whatever is left lies in a directory for such things.
        let _ = fs::remove_file(&self.0);
    }
}

/// Five processes lose nobody and double nobody through a kill, a restart, a freeze, a cut and a
/// leave.
#[cfg(unix)]
#[test]
fn five_processes_keep_named_children_alive_whatever_happens() {
    let names: Vec<String> = (0..200).map(|number| format!("child/{number}")).collect();
    let file = NamesFile::new(names.join("\n").as_bytes());
    let output = run(&["--json", file.path()]);

    let (out, errors) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{}\n{out}\n{errors}", output.status);
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["children"], 200);
    assert_eq!(report["lost"], 0);
    assert_eq!(report["double"], 0);
    let acts = report["acts"].as_array().unwrap();
    let played: Vec<&str> = acts.iter().map(|act| act["name"].as_str().unwrap()).collect();
    assert_eq!(played, ["kill", "restart", "freeze", "cut", "leave"]);

    // The acts really happened to somebody, and both sides of the cut really ran everything.
    for act in acts.iter().filter(|act| act["name"] != "restart") {
        assert!(act["affected"].as_u64().unwrap() > 0, "{act}");
        assert!(act["recover_ms"].as_u64().unwrap() > 0, "{act}");
    }
    assert_eq!(acts[2]["resolved"], acts[2]["affected"], "who was frozen ran them, too");
    assert_eq!(acts[3]["resolved"], 200, "both sides of the cut ran them all");
}

/// Nothing starts from a file that is not right, and the line that is not is named.
#[test]
fn a_tour_refuses_names_it_cannot_use_before_anything_starts() {
    for (names, reason) in [
        (&b""[..], "it is empty"),
        (b"a\nb\n\nc\n", "line 3 is empty"),
        (b"a\nb\na\n", "the name \"a\" in line 3 is in line 1 already"),
        (b"a\n\xc3\x28\n", "line 2 is not UTF-8"),
        (&[b'n'; 513], "the name in line 1 has 513 bytes"),
    ] {
        let file = NamesFile::new(names);
        let output = run(&[file.path()]);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{errors}");
        assert!(errors.contains(reason) && errors.contains(file.path()), "{errors}");
        assert!(output.stdout.is_empty());
    }
    let missing = run(&["/nowhere/to/be/found"]);
    assert_eq!(missing.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&missing.stderr).starts_with("/nowhere/to/be/found: "));
}

#[test]
fn a_tour_refuses_a_port_that_is_taken() {
    let taken = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let output = run(&["--port", &port]);
    let errors = String::from_utf8_lossy(&output.stderr);
    // The last few ports are no first of five.
    let is_named = errors.contains(&format!("port {port} cannot be used"));
    let too_high = port.parse::<u16>().unwrap() > u16::MAX - 4;
    assert!(is_named || too_high, "{errors}");
    assert_eq!(output.status.code(), Some(2));
}
