//! The `xdsight` command: everything else is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    xdsight::cli::main()
}
