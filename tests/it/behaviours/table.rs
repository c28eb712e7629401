//! `BEHAVIOURS.md` and the tests name the same behaviours.
//!
//! A test says which it shows in the comment above it (`B61`, `B43 to B48`). The last column of the
//! table is made from that: `ORDU_BLESS=1 cargo test -p ordu-tests behaviours::table` writes it.

use std::collections::{BTreeMap, BTreeSet};
use std::{env, fs};

use ordu_tests::{root, sources};

/// How many behaviours there are.
const BEHAVIOURS: u16 = 148;

/// Where tests are.
const TESTS: [&str; 6] =
    ["core/src", "core/tests", "ordu/src", "ordu/tests", "sim/tests", "tests/it"];

#[test]
fn every_behaviour_is_shown_by_the_tests_that_the_table_names_or_is_owed() {
    let path = root().join("BEHAVIOURS.md");
    let text = fs::read_to_string(&path).unwrap();
    let shown = shown();
    let rows: Vec<Row<'_>> = text.lines().filter_map(Row::read).collect();
    let numbers: Vec<u16> = rows.iter().map(|row| row.number).collect();
    assert_eq!(numbers, (1..=BEHAVIOURS).collect::<Vec<_>>(), "each has its row, in order");

    let line = |line: &str| match Row::read(line) {
        Some(row) => row.with(shown.get(&row.number)),
        None => line.to_owned(),
    };
    let made = text.lines().map(|text| line(text) + "\n").collect::<String>();
    if env::var_os("ORDU_BLESS").is_some() {
        fs::write(&path, &made).unwrap();
        return;
    }
    for (is, shall) in text.lines().zip(made.lines()) {
        assert_eq!(is, shall, "the table is behind; ORDU_BLESS=1 writes it");
    }
    for row in rows {
        let owed = row.state.starts_with("owed: ");
        let is_shown = shown.contains_key(&row.number);
        assert!(
            owed || is_shown || row.state.starts_with("otherwise: "),
            "B{} is shown by no test; say `owed: …`, or `otherwise: …` if we mean to differ",
            row.number
        );
        assert!(!(owed && is_shown), "B{} is not owed any more", row.number);
    }
}

/// A comment that names behaviours stands above a test, where it counts, and nowhere else.
#[test]
fn ranges_and_lists_of_behaviours_are_read() {
    assert_eq!(
        numbers("B1, B4 to B6. Text (B9); SPEC's B12."),
        BTreeSet::from([1, 4, 5, 6, 9, 12])
    );
    assert_eq!(numbers("Bold, 2B3, B, AB7"), BTreeSet::new());
}

/// A row of the table.
struct Row<'a> {
    number: u16,
    behaviour: &'a str,
    /// What is to be said beside the tests: that it is owed, or that we mean to differ.
    state: &'a str,
}

impl<'a> Row<'a> {
    fn read(line: &'a str) -> Option<Self> {
        let mut cells = line.strip_prefix("| B")?.split(" | ");
        let number = cells.next()?.trim().parse().ok()?;
        let (behaviour, state) = (cells.next()?.trim(), cells.next()?.trim());
        Some(Self { number, behaviour, state })
    }

    fn with(&self, tests: Option<&BTreeSet<String>>) -> String {
        let Self { number, behaviour, state } = self;
        let tests: Vec<&str> = tests.into_iter().flatten().map(String::as_str).collect();
        format!("| B{number} | {behaviour} | {state} | {} |", tests.join("<br>"))
    }
}

/// Returns the tests that say that they show a behaviour.
fn shown() -> BTreeMap<u16, BTreeSet<String>> {
    let mut shown = BTreeMap::<u16, BTreeSet<String>>::new();
    let files = TESTS.iter().flat_map(|directory| sources(&root().join(directory), &["rs"]));
    for file in files {
        let code = fs::read_to_string(&file).unwrap();
        let path = file.strip_prefix(root()).unwrap().display().to_string();
        let (mut comment, mut is_test) = (String::new(), false);
        for line in code.lines().map(str::trim) {
            if let Some(text) = line.strip_prefix("///") {
                comment += text;
            } else if line.starts_with("#[") {
                is_test |= line.starts_with("#[test]") || line.starts_with("#[tokio::test");
            } else if let Some(name) = function(line).filter(|_| is_test) {
                for number in numbers(&comment) {
                    let test = format!("`{path}` {name}");
                    shown.entry(number).or_default().insert(test);
                }
                (comment, is_test) = (String::new(), false);
            } else {
                (comment, is_test) = (String::new(), false);
            }
        }
    }
    shown
}

fn function(line: &str) -> Option<&str> {
    let line = line.strip_prefix("async ").unwrap_or(line);
    Some(line.strip_prefix("fn ")?.split('(').next().unwrap_or_default())
}

/// Returns the numbers of the behaviours that a comment names.
fn numbers(comment: &str) -> BTreeSet<u16> {
    let words: Vec<&str> = comment.split_whitespace().collect();
    let number = |word: &str| -> Option<u16> {
        word.trim_start_matches('(')
            .strip_prefix('B')?
            .trim_end_matches(|c: char| !c.is_ascii_digit())
            .parse()
            .ok()
    };
    let mut numbers = BTreeSet::new();
    for (index, word) in words.iter().enumerate() {
        let Some(first) = number(word) else { continue };
        let last = match words[index + 1..] {
            ["to", last, ..] => number(last).unwrap_or(first),
            _ => first,
        };
        numbers.extend(first..=last);
    }
    numbers
}
