//! What the `Accept` header chooses, with and without tables.

use super::{Accept, Form};
use http::{HeaderMap, HeaderValue, header};

const TABLE: &str = "application/json;as=Table;v=v1;g=meta.k8s.io";

fn headers(accept: &str) -> HeaderMap {
    let value = HeaderValue::from_str(accept).expect("a header");
    [(header::ACCEPT, value)].into_iter().collect()
}

#[test]
fn the_first_acceptable_entry_wins() {
    let chosen = Accept::negotiate(&headers(&format!("{TABLE},application/json")), false).expect("acceptable");
    assert_eq!(chosen.form, Form::Table);
    assert_eq!(Accept::negotiate(&headers("text/html"), false).expect_err("unknown").code, 406);
}

#[test]
fn kinds_without_tables_fall_back_or_refuse() {
    let both = headers(&format!("{TABLE},application/json"));
    assert_eq!(Accept::negotiate_without_tables(&both, false).expect("JSON is there too").form, Form::Object);
    let refused = Accept::negotiate_without_tables(&headers(TABLE), false).expect_err("only a table");
    assert_eq!((refused.code, &*refused.reason), (406, "NotAcceptable"));
}
