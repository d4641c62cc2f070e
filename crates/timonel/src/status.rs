//! `timonel status`: whether the cluster of a data directory runs.

use crate::args::Place;
use crate::places::Places;
use anyhow::{Context, Result};
use std::fs;

/// Prints what is known and exits with 0 when the cluster runs.
pub(crate) fn status(place: &Place) -> Result<i32> {
    let places = Places::new(&place.data_dir);
    let dir = place.data_dir.display();
    if !places.store().exists() {
        println!("there is no cluster in {dir}: start one with `timonel up`");
        return Ok(1);
    }
    let text = fs::read_to_string(places.admin_kubeconfig()).context("reading the administrator's kubeconfig")?;
    let tree = codec::yaml::parse(&text).context("the administrator's kubeconfig is damaged")?.value;
    let server = tree["clusters"][0]["cluster"]["server"].as_str().unwrap_or_default().to_owned();
    let address = server.trim_start_matches("https://").to_owned();
    let running = std::net::TcpStream::connect(&address).is_ok();
    println!("cluster in {dir}: {}", if running { "running" } else { "stopped" });
    println!("  API server {server}");
    println!("  kubeconfig {}", places.admin_kubeconfig().display());
    Ok(i32::from(!running))
}
