//! The one binary: arguments to configuration to wiring. Everything else lives in the library beside it.

fn main() {
    // The shim re-exec comes before anything that starts a thread.
    if runtime::shim::is_shim(std::env::args_os()) {
        runtime::shim::main();
    }
    std::process::exit(timonel::run(std::env::args_os().collect()));
}
