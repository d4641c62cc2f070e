//! Small arithmetic that several controllers share: whole seconds, counts that are left out when zero, int-or-percent
//! values, and names made from chance.

use base::port::SUFFIX_ALPHABET;
use jiff::Timestamp;
use kinds::{IntOrString, ObjectMeta, Time};
use std::time::Duration;

/// Names made from `generateName` are cut so that the suffix fits a DNS label.
const NAME_BASE_MAX: usize = 58;
const SUFFIX_LEN: usize = 5;

/// The instant without its fraction: API times have none.
pub(crate) fn whole_seconds(t: Timestamp) -> Timestamp {
    Timestamp::from_second(t.as_second()).unwrap_or(t)
}

/// Zero is left out of JSON, so it is left out here too.
pub(crate) fn count(n: i32) -> Option<i32> {
    (n != 0).then_some(n)
}

/// A length as API counts have it.
pub(crate) fn len(n: usize) -> i32 {
    i32::try_from(n).unwrap_or(i32::MAX)
}

/// A slice's length left out when empty.
pub(crate) fn filled<T>(v: Vec<T>) -> Option<Vec<T>> {
    (!v.is_empty()).then_some(v)
}

/// An absolute number or a percentage of `total`.
pub(crate) fn scaled(value: Option<&IntOrString>, default: &str, total: i32, up: bool) -> i32 {
    let text = match value {
        Some(IntOrString::Int(n)) => return *n,
        Some(IntOrString::String(s)) => s.as_str(),
        None => default,
    };
    let Some(percent) = text.strip_suffix('%').and_then(|p| p.parse::<i64>().ok()) else {
        return text.parse().unwrap_or(0);
    };
    let part = percent * i64::from(total);
    let whole = if up { (part + 99).div_euclid(100) } else { part.div_euclid(100) };
    i32::try_from(whole).unwrap_or(i32::MAX)
}

/// How long until `at + after`; `None` when that has passed.
pub(crate) fn until(now: Timestamp, at: &Time, after: Duration) -> Option<Duration> {
    let due = at.0.checked_add(after).ok()?;
    let left = due.duration_since(now);
    Duration::try_from(left).ok().filter(|d| !d.is_zero())
}

/// How long ago that was; zero for the future.
pub(crate) fn since(now: Timestamp, at: &Time) -> Duration {
    Duration::try_from(now.duration_since(at.0)).unwrap_or_default()
}

/// A name made from a prefix and chance, with the prefix kept as `generateName`.
pub(crate) fn generate_name(meta: &mut ObjectMeta, prefix: &str, chance: &mut Chance) {
    let base: String = prefix.chars().take(NAME_BASE_MAX).collect();
    meta.name = Some(format!("{base}{}", chance.suffix()));
    meta.generate_name = Some(prefix.to_owned());
}

/// A small deterministic generator (splitmix64), seeded by the shell.
#[derive(Clone, Debug)]
pub(crate) struct Chance(u64);

impl Chance {
    /// From a seed.
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
    /// Five characters of the alphabet of generated names.
    pub(crate) fn suffix(&mut self) -> String {
        let at = |n: u64| char::from(SUFFIX_ALPHABET[(n % SUFFIX_ALPHABET.len() as u64) as usize]);
        (0..SUFFIX_LEN).map(|_| at(self.next())).collect()
    }
}
