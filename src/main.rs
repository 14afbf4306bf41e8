//! The `prewarm` program: parses the arguments, runs the command, sets the exit code.

fn main() -> std::process::ExitCode {
    prewarm::cli::main()
}
