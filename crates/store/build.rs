//! Turns `proto/etcd.proto` into the client's messages and stubs, without a `protoc` on the machine.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo:rerun-if-changed=proto/etcd.proto");
    let files = protox::compile(["etcd.proto"], ["proto"])?;
    tonic_prost_build::configure().build_server(false).build_transport(false).bytes(".").compile_fds(files)?;
    Ok(())
}
