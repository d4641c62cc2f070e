//! Columns that line up: a cell ends at a tab, and neighbouring lines that have a cell in one column share its width
//! (elastic tab stops, as Go's text/tabwriter lays them out with spaces).

/// How wide columns are at least, and what lies between them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Layout {
    pub(crate) min_width: usize,
    pub(crate) padding: usize,
}

/// Tables of `get`.
pub(crate) const TABLE: Layout = Layout { min_width: 6, padding: 3 };
/// The blocks of `describe`.
pub(crate) const DESCRIBE: Layout = Layout { min_width: 0, padding: 2 };

fn width(cell: &str) -> usize {
    cell.chars().count()
}

/// Lays text with tabs out; `remembered` widths of earlier calls hold as minimum and are kept for later ones.
pub(crate) fn align_with(text: &str, layout: Layout, remembered: &mut Vec<usize>) -> String {
    let lines: Vec<Vec<&str>> = text.split('\n').map(|l| l.split('\t').collect()).collect();
    let columns = lines.iter().map(|l| l.len() - 1).max().unwrap_or_default();
    let mut widths: Vec<Vec<usize>> = lines.iter().map(|l| vec![0; l.len() - 1]).collect();
    for column in 0..columns {
        let mut from = 0;
        while from < lines.len() {
            if lines[from].len() <= column + 1 {
                from += 1;
                continue;
            }
            let to = (from..lines.len()).find(|i| lines[*i].len() <= column + 1).unwrap_or(lines.len());
            let least = remembered.get(column).copied().unwrap_or_default().max(layout.min_width);
            let wide = lines[from..to].iter().map(|l| width(l[column]) + layout.padding).max().unwrap_or_default().max(least);
            widths[from..to].iter_mut().for_each(|w| w[column] = wide);
            from = to;
        }
    }
    if let Some(first) = widths.iter().find(|w| !w.is_empty()) {
        remembered.clone_from(first);
    }
    let mut out = String::with_capacity(text.len() * 2);
    for (i, line) in lines.iter().enumerate() {
        if i > 0 {
            out.push('\n');
        }
        for (column, cell) in line.iter().enumerate() {
            out.push_str(cell);
            if let Some(wide) = widths[i].get(column) {
                out.extend(std::iter::repeat_n(' ', wide.saturating_sub(width(cell))));
            }
        }
    }
    out
}

/// Lays text with tabs out.
pub(crate) fn align(text: &str, layout: Layout) -> String {
    align_with(text, layout, &mut Vec::new())
}
