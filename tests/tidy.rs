//! The style, as a test: what CONTRIBUTING.md asks and a machine can see.
//!
//! Each rule is a function from a source (or a text) to complaints, and each has a test that it can
//! complain. It needs nothing but the standard library and git, and knows no meaning.

#[path = "tidy/layers.rs"]
mod layers;
#[path = "tidy/repository.rs"]
mod repository;
#[path = "tidy/rules.rs"]
mod rules;
#[path = "tidy/source.rs"]
mod source;

use source::Source;
use std::path::PathBuf;
use std::sync::OnceLock;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Every source, read once for all tests.
fn sources() -> &'static [Source] {
    static SOURCES: OnceLock<Vec<Source>> = OnceLock::new();
    SOURCES.get_or_init(|| source::all(&root()))
}

/// Fails with every complaint that a rule has about any file.
fn hold(rule: impl Fn(&Source) -> Vec<String>) {
    hold_all(sources().iter().flat_map(rule).collect());
}

fn hold_all(complaints: Vec<String>) {
    assert!(complaints.is_empty(), "{} complaints:\n{}", complaints.len(), complaints.join("\n"));
}

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

#[test]
fn every_file_says_what_it_is_before_anything_else() {
    hold(rules::header);
}

#[test]
fn files_lines_and_functions_stay_short() {
    hold(rules::sizes);
}

#[test]
fn nothing_is_left_for_later() {
    hold(rules::leftovers);
}

#[test]
fn every_dependency_has_one_door() {
    hold(rules::doors);
}

#[test]
fn the_lower_crates_name_nothing_above_them() {
    hold(rules::wal_is_a_log_of_poems);
}

#[test]
fn the_lower_crates_depend_on_nothing_that_could_wait_or_send() {
    let wal = ["crc32fast", "thiserror"];
    hold_all(rules::dependencies("wal/Cargo.toml", &read("wal/Cargo.toml"), &wal));
    let recovery = ["bincode", "serde", "thiserror", "wal"];
    let manifest = "recovery/Cargo.toml";
    hold_all(rules::dependencies(manifest, &read(manifest), &recovery));
}

#[test]
fn imports_point_down() {
    hold(layers::upward_imports);
}

#[test]
fn every_module_has_a_layer() {
    let modules = layers::modules(&read("src/lib.rs"));
    let complaints = modules.iter().filter(|module| layers::layer(module).is_none());
    hold_all(complaints.map(|module| format!("{module} stands in no row of LAYERS")).collect());
}

#[test]
fn the_code_map_names_every_module() {
    let map = read("ARCHITECTURE.md");
    let missing = |module: &String| !map.contains(&format!("`{module}`"));
    let missing = layers::modules(&read("src/lib.rs")).into_iter().filter(missing);
    hold_all(missing.map(|module| format!("ARCHITECTURE.md does not name {module}")).collect());
}

#[test]
fn one_crypto_provider_and_no_openssl_is_linked() {
    hold_all(rules::banned_packages(&read("Cargo.lock")));
}

#[test]
fn every_crash_point_is_drilled() {
    let points = rules::crash_points(&read("recovery/src/drill/point.rs"));
    assert!(points.len() > 20, "point.rs was not understood: {points:?}");
    if !root().join("src/live").is_dir() {
        println!("SKIPPED src/live: no drills with real processes are built yet");
        return;
    }
    let drills = sources().iter().filter(|source| source.is_below(&["src/live", "tests/it"]));
    let drills: String = drills.map(|source| source.text.as_str()).collect();
    hold_all(rules::undrilled(&points, &drills));
}

#[test]
fn every_test_that_a_document_names_exists() {
    let tests: Vec<String> = sources().iter().flat_map(|it| rules::tests(&it.code)).collect();
    let documents = ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md"];
    let complaints = documents.iter().flat_map(|path| rules::unkept(path, &read(path), &tests));
    hold_all(complaints.collect());
}

#[test]
fn the_top_level_holds_what_was_asked_and_nothing_else() {
    if let Some(files) = repository::files(&root()) {
        hold_all(repository::strangers(&files));
    }
}

#[test]
fn no_secret_and_no_leftover_is_committed() {
    if let Some(files) = repository::files(&root()) {
        hold_all(repository::must_not_be_committed(&files));
        hold_all(repository::private_keys(&root(), &files));
    }
}
