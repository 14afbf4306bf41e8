//! Keeps the layer table of ARCHITECTURE.md true: a module names only modules of lower layers.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

use std::{fs, path::Path};

/// Top-level modules by layer. `packing`, `lead_time` and `forecast` do not know each other either;
/// `sim` and (later) `live` do not.
const LAYERS: &[(&str, u8)] = &[
    ("time", 0),
    ("units", 0),
    ("model", 1),
    ("promql", 1),
    ("packing", 2),
    ("lead_time", 2),
    ("forecast", 2),
    ("readiness", 2),
    ("history", 2),
    ("strategy", 3),
    ("world", 3),
    ("selector", 3),
    ("engine", 3),
    ("guard", 3),
    ("extender", 3),
    ("config", 4),
    ("decision_log", 4),
    ("prometheus", 4),
    ("sim", 5),
    ("live", 5),
    ("fleet", 5),
    ("embedded_api", 5),
    ("cli", 6),
];

fn layer(module: &str) -> u8 {
    LAYERS.iter().find(|(name, _)| *name == module).map_or_else(
        || panic!("module `{module}` has no layer: add it to the table in tests/layers.rs"),
        |&(_, layer)| layer,
    )
}

/// May `user` name `used`? Layers 0 and 3 are families whose members work together; `config` sees only
/// data.
fn may_use(module: &str, named: &str) -> bool {
    let (above, below) = (layer(module), layer(named));
    match above {
        _ if module == named => true,
        0 | 3 => below <= above,
        4 if module == "config" => below <= 1,
        5 if module == "embedded_api" => below == 0,
        _ => below < above,
    }
}

fn rust_files(folder: &Path, files: &mut Vec<std::path::PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            rust_files(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

/// Every `crate::module` and every member of `use crate::{...}`.
fn modules_named(source: &str) -> Vec<String> {
    let mut named = Vec::new();
    for (at, _) in source.match_indices("crate::") {
        let rest = &source[at + "crate::".len()..];
        if let Some(group) = rest.strip_prefix('{') {
            named.extend(first_words_of_group(group));
        } else {
            named.push(first_word(rest));
        }
    }
    named.retain(|name| !name.is_empty());
    named
}

fn first_word(text: &str) -> String {
    text.trim_start().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
}

fn first_words_of_group(group: &str) -> Vec<String> {
    let (mut depth, mut starts_item, mut words) = (0, true, Vec::new());
    for (at, letter) in group.char_indices() {
        match letter {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => starts_item = true,
            _ if starts_item && !letter.is_whitespace() => {
                words.push(first_word(&group[at..]));
                starts_item = false;
            }
            _ => {}
        }
    }
    words
}

#[test]
fn modules_name_only_lower_layers() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    rust_files(&src, &mut files);
    assert!(files.len() > 20, "the sources were not found");
    let mut wrong = Vec::new();
    for file in files {
        let inside = file.strip_prefix(&src).unwrap();
        let module = inside.iter().next().unwrap().to_str().unwrap().trim_end_matches(".rs");
        if matches!(module, "lib" | "main") {
            continue;
        }
        for used in modules_named(&fs::read_to_string(&file).unwrap()) {
            if !may_use(module, &used) {
                wrong.push(format!("{} names crate::{used}", inside.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "against the layer table:\n{}", wrong.join("\n"));
}

#[test]
fn a_planted_violation_is_caught() {
    let source =
        "use crate::{\n    model::{Job, Trace},\n    sim::report,\n};\nlet x = crate::cli::main();";
    assert_eq!(modules_named(source), ["model", "sim", "cli"]);
    assert!(
        !may_use("world", "sim")
            && !may_use("config", "strategy")
            && !may_use("packing", "forecast")
    );
    assert!(may_use("world", "strategy") && may_use("sim", "world"));
}
