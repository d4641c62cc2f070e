//! ControllerRevisions: immutable data, a revision that is not negative.

use crate::names::NameRule;
use crate::table::{Rules, check, check_with_old};
use kinds::api::apps::v1::ControllerRevision;
use kinds::field::Bare;
use kinds::{FieldErrors, Kind, Path};

pub(crate) const ROW: Rules = Rules {
    validate: check!(ControllerRevision, validate),
    validate_update: check_with_old!(ControllerRevision, |n: &ControllerRevision, o: &ControllerRevision, e: &mut FieldErrors| {
        crate::checks::not_negative(n.revision, &Path::new("revision"), e);
        if n.data != o.data {
            let shown = n.data.as_ref().map_or_else(crate::json::null, |d| Bare(d.0.to_string()));
            e.invalid(&Path::new("data"), shown, crate::meta::IMMUTABLE);
        }
    }),
    ..Rules::plain(Kind::ControllerRevision, NameRule::DnsSubdomain)
};

fn validate(r: &ControllerRevision, e: &mut FieldErrors) {
    match &r.data {
        None => e.required(&Path::new("data"), "data is mandatory"),
        Some(d) if !d.0.is_object() => e.required(&Path::new("data"), "data must be a valid JSON object"),
        Some(_) => {}
    }
    crate::checks::not_negative(r.revision, &Path::new("revision"), e);
}
