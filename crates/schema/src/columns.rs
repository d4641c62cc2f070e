//! The columns of `kubectl get` (metav1.Table) of every built-in kind (`data/columns.txt`), and what they show in a sentence
//! of our own (`data/column-words.txt`: kind or `*`, column, sentence; a line with the kind comes before the one without).

use std::collections::HashMap;
use std::sync::OnceLock;

/// A column definition of a Table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Column {
    /// Heading.
    pub name: &'static str,
    /// OpenAPI type of the cells.
    pub kind: &'static str,
    /// OpenAPI format; `name` marks the primary identifier.
    pub format: &'static str,
    /// Above 0: shown in wide output only.
    pub priority: u8,
    /// What it shows.
    pub description: &'static str,
}

/// Group, version and kind under which the columns of any other kind stand.
pub const DEFAULT_COLUMNS_KIND: (&str, &str, &str) = ("*", "*", "*");

type Rows = HashMap<(&'static str, &'static str, &'static str), Vec<Column>>;

/// The columns of a kind, or the default ones (Name, Created At).
pub fn columns(group: &str, version: &str, kind: &str) -> &'static [Column] {
    static TABLE: OnceLock<Rows> = OnceLock::new();
    let table = TABLE.get_or_init(|| parse(include_str!("../data/columns.txt")));
    let found = table.iter().find(|(gvk, _)| **gvk == (group, version, kind)).map(|(_, columns)| columns);
    found.or_else(|| table.get(&DEFAULT_COLUMNS_KIND)).map(Vec::as_slice).unwrap_or_default()
}

/// What a column of a kind shows, in a sentence.
fn description(kind: &str, column: &str) -> &'static str {
    static WORDS: OnceLock<HashMap<(&'static str, &'static str), &'static str>> = OnceLock::new();
    let words = WORDS.get_or_init(|| {
        let lines = include_str!("../data/column-words.txt").lines();
        lines.filter_map(|line| line.split_once('\t')).filter_map(|(kind, rest)| rest.split_once('\t').map(|(column, words)| ((kind, column), words))).collect()
    });
    words.get(&(kind, column)).or_else(|| words.get(&("*", column))).copied().unwrap_or_default()
}

/// What the column of that name shows of any object.
pub fn column_description(column: &str) -> &'static str {
    description("*", column)
}

fn parse(text: &'static str) -> Rows {
    let mut table = Rows::new();
    let mut current = DEFAULT_COLUMNS_KIND;
    for line in text.lines() {
        let c: Vec<&'static str> = line.trim_start_matches('=').split('\t').collect();
        if line.starts_with('=') {
            current = (c[0], c[1], c[2]);
            table.entry(current).or_default();
        } else {
            let priority = c[3].parse().expect("a priority is a small number");
            let column = Column { name: c[0], kind: c[1], format: c[2], priority, description: description(current.2, c[0]) };
            table.entry(current).or_default().push(column);
        }
    }
    table
}
