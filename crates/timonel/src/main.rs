//! The one binary: arguments to configuration to wiring. Everything else lives in the library beside it.

/// A write of the API server allocates some two hundred times; this allocator takes a quarter off its whole cost.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    // The shim re-exec comes before anything that starts a thread.
    if runtime::shim::is_shim(std::env::args_os()) {
        runtime::shim::main();
    }
    std::process::exit(timonel::run(std::env::args_os().collect()));
}
