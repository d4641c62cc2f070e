//! Our own kubectl beside the stock one on one cluster: for each command line of `tests/steps/compare.txt` the same output, the
//! same error output, the same exit code (issue 2, "kubectl"). `TIMONEL_COMPARE=apply,diff` compares these parts alone.

use it::compare::{self, Place};
use it::control::ControlPlane;
use it::machine;
use std::time::Instant;

const COMPARED: &str = include_str!("steps/compare.txt");
/// The version that ours is compared with.
const VERSION: &str = "1.33";

#[test]
fn our_kubectl_says_what_the_stock_one_says() {
    let Some(stock) = machine::kubectl(Some(VERSION)) else {
        println!("SKIP our_kubectl_says_what_the_stock_one_says: kubectl {VERSION} is not on this machine");
        return;
    };
    let plane = ControlPlane::start().expect("a control plane starts");
    let place = Place { dir: plane.dir().to_owned(), kubeconfig: plane.kubeconfig(), inside: Vec::new() };
    let mut failed = Vec::new();
    let only = std::env::var("TIMONEL_COMPARE").unwrap_or_default();
    let wanted = |name: &str| only.is_empty() || only.split(',').any(|o| o == name);
    for (number, part) in compare::read(COMPARED).into_iter().enumerate().filter(|(_, p)| wanted(&p.name)) {
        let begun = Instant::now();
        let found = place.compare(&part, number, &stock, plane.program()).unwrap_or_else(|e| vec![format!("{e:#}")]);
        println!("{:>5.1} s  {}: {} command lines, {} differ", begun.elapsed().as_secs_f64(), part.name, part.commands.len(), found.len());
        for difference in &found {
            println!("{difference}\n");
        }
        if !found.is_empty() {
            failed.push(part.name);
        }
    }
    assert!(failed.is_empty(), "our kubectl says something else in: {}\n{}", failed.join(", "), plane.log());
}
