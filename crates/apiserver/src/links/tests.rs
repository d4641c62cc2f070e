//! Links of relayed pages: which move, which stay, and that the cut of the stream does not matter.

use super::{Place, Rewriter};

const PREFIX: &str = "/api/v1/namespaces/ns/pods/https:web:443/proxy";

fn place() -> Place {
    Place { prefix: PREFIX.to_owned(), host: "cluster:6443".to_owned() }
}

fn page(text: &str, cut: usize) -> String {
    let mut rewriter = Rewriter::new(place());
    let mut out = Vec::new();
    for piece in text.as_bytes().chunks(cut) {
        out.extend(rewriter.push(piece));
    }
    out.extend(rewriter.finish());
    String::from_utf8(out).expect("text")
}

#[test]
fn links_move_below_the_proxy() {
    let cases = [
        (r#"<a href="/x">t</a>"#, r#"<a href="P/x">t</a>"#),
        (r#"<A class=y HREF='/x?a=b#c'>"#, r#"<A class=y HREF='P/x?a=b#c'>"#),
        (r#"<img src=/i.png alt="a > b">"#, r#"<img src=P/i.png alt="a > b">"#),
        (r#"<a href="x">"#, r#"<a href="x">"#),
        (r#"<a href="http://elsewhere/x">"#, r#"<a href="http://elsewhere/x">"#),
        (r#"<a href="https://cluster:6443/x">"#, r#"<a href="https://cluster:6443P/x">"#),
        (r#"<a href="P/x">"#, r#"<a href="P/x">"#),
        (r#"<p title="/x">"#, r#"<p title="/x">"#),
        (r#"<!-- <a href="/x"> --><a href="/y">"#, r#"<!-- <a href="/x"> --><a href="P/y">"#),
        (r#"<script>'<a href="/x">'</script><a href="/y">"#, r#"<script>'<a href="/x">'</script><a href="P/y">"#),
        ("a < b && c > d", "a < b && c > d"),
        ("<a href=\"/x", "<a href=\"/x"),
    ];
    for (given, wanted) in cases {
        let (given, wanted) = (given.replace('P', PREFIX), wanted.replace('P', PREFIX));
        for cut in [1, 2, 3, 7, 1000] {
            assert_eq!(page(&given, cut), wanted, "{given} in pieces of {cut}");
        }
    }
}

#[test]
fn redirects_move_too() {
    assert_eq!(place().moved("/login"), Some(format!("{PREFIX}/login")));
    assert_eq!(place().moved("login"), None);
    assert_eq!(place().moved("https://other/login"), None);
}
