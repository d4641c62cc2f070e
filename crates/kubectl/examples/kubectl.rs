//! kubectl alone, for trying it without the rest of the program.

fn main() {
    std::process::exit(kubectl::run(std::env::args_os().collect()));
}
