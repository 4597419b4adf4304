//! Entry: everything is in `cli`.

use std::process::ExitCode;

fn main() -> ExitCode {
    strife::tls::install_provider();
    strife::cli::run(std::env::args_os())
}
