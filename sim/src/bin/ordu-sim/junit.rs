//! The outcome of a soak in the XML that CI systems read.

use std::path::Path;

use ordu_sim::soak::Summary;
use quick_xml::Writer;
use quick_xml::events::BytesText;

use crate::output::Trouble;

/// Writes a test case for each seed that failed, and one for all that did not.
pub(crate) fn write(path: &Path, summary: &Summary) -> Result<(), Trouble> {
    let text = render(summary).map_err(Trouble::about(path))?;
    std::fs::write(path, text).map_err(Trouble::about(path))
}

fn render(summary: &Summary) -> std::io::Result<Vec<u8>> {
    let failed = summary.failures.len().to_string();
    let tests = (summary.failures.len() + 1).to_string();
    let seconds = format!("{:.3}", summary.wall_ms as f64 / 1_000.0);
    let passed = summary.tally.runs.saturating_sub(summary.failures.len() as u64);
    let mut writer = Writer::new_with_indent(Vec::new(), b' ', 2);
    let suite = [
        ("name", "ordu-sim soak"),
        ("tests", tests.as_str()),
        ("failures", failed.as_str()),
        ("time", seconds.as_str()),
    ];
    writer.create_element("testsuite").with_attributes(suite).write_inner_content(|writer| {
        let name = format!("{passed} seeds that passed");
        let case = [("classname", "ordu-sim"), ("name", name.as_str())];
        writer.create_element("testcase").with_attributes(case).write_empty()?;
        for (seed, violation) in &summary.failures {
            let name = format!("seed {seed}");
            let case = [("classname", "ordu-sim"), ("name", name.as_str())];
            writer.create_element("testcase").with_attributes(case).write_inner_content(
                |writer| {
                    let class = violation.class.to_string();
                    let failure = [("type", class.as_str()), ("message", &violation.promise)];
                    let text = violation.to_string();
                    let element = writer.create_element("failure").with_attributes(failure);
                    element.write_text_content(BytesText::new(&text))?;
                    Ok(())
                },
            )?;
        }
        Ok(())
    })?;
    let mut bytes = writer.into_inner();
    bytes.push(b'\n');
    Ok(bytes)
}
