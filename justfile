# What is done often. `just` without a recipe lists them. None but `fix` writes to the sources.

set shell := ["bash", "-euo", "pipefail", "-c"]

_default:
    @just --list

# Everything that must hold before a change lands. Writes nothing
verify: _formatted _linted test _documented deny proto

_formatted:
    cargo fmt --all --check

_linted:
    cargo clippy --workspace --all-targets --locked -- -D warnings

_documented:
    RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --locked

# Repair what a machine can: formatting, and clippy's own suggestions
fix:
    cargo fmt --all
    cargo clippy --workspace --all-targets --locked --fix --allow-dirty --allow-staged

# All tests, as the README has them
test:
    cargo test --locked

# The style alone: a second, once it is built
tidy:
    cargo test --locked --test tidy

# Advisories, licences, bans and sources (cargo install cargo-deny)
deny:
    cargo deny --locked check

# The contract on the wire: names and comments (npm install --global @bufbuild/buf)
proto:
    buf lint proto

# Kill real processes at every crash point, and see every rupee survive
drills:
    cargo run --release --locked -- drill run --all

# People pay at prompts while the gateway is killed and stays away: clients, outages, seconds of each
outage form="8,5,20":
    STRIFE_OUTAGE={{ form }} cargo test --locked --test it outage:: -- --nocapture

# A long log: listed in what memory, checked how fast beside cat; in MiB
log-speed mib="1024":
    STRIFE_LOG_MIB={{ mib }} cargo test --release --locked --test it long_log:: -- --nocapture

# What floods and guesses do to others who pay: before, during, after, and how many times slower
floods:
    cargo test --release --locked --test it floods:: guessing:: -- --nocapture --test-threads=1

# What is in the program, as CycloneDX (cargo install cargo-cyclonedx)
sbom:
    cargo cyclonedx --format json --all-features

# Fuzz the log's reader for so many seconds (cargo install cargo-fuzz; nightly)
fuzz seconds="60":
    cd wal && cargo +nightly fuzz run scan -- -max_total_time={{ seconds }}

# Fuzz what comes in from outside for so many seconds (cargo install cargo-fuzz; nightly)
fuzz-requests seconds="60":
    cd tests && cargo +nightly fuzz run request -- -max_total_time={{ seconds }}

# The README's promises and citations: does every test that it names exist?
readme:
    cargo test --locked --test tidy every_test_that_a_document_names_exists

# What a fresh machine runs
ci:
    .ci/run
