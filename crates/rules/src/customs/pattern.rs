//! Patterns as Go's RE2 reads them, for Rust's engine: Perl classes are ASCII only, and brackets, ampersands and tildes inside
//! of a class are plain characters.

/// Largest compiled pattern.
const SIZE_MAX_BYTES: usize = 32 << 20;

/// Compiles a pattern in RE2's meaning.
///
/// # Errors
/// What is no regular expression.
pub fn compile(pattern: &str) -> Result<regex::Regex, regex::Error> {
    regex::RegexBuilder::new(&translate(pattern)).size_limit(SIZE_MAX_BYTES).build()
}

/// The inside of a Perl class, and whether it is negated.
fn perl(c: char) -> Option<(&'static str, bool)> {
    Some(match c {
        'd' => ("0-9", false),
        'D' => ("0-9", true),
        'w' => ("0-9A-Za-z_", false),
        'W' => ("0-9A-Za-z_", true),
        's' => ("\\t\\n\\f\\r ", false),
        'S' => ("\\t\\n\\f\\r ", true),
        _ => return None,
    })
}

fn translate(pattern: &str) -> String {
    let mut out = String::with_capacity(pattern.len() + 16);
    let mut rest = pattern.chars().peekable();
    let (mut in_class, mut start) = (false, false);
    while let Some(c) = rest.next() {
        let first = std::mem::take(&mut start);
        match c {
            '\\' => escape(rest.next(), in_class, &mut out),
            '[' if !in_class => {
                (in_class, start) = (true, true);
                out.push('[');
                if rest.next_if_eq(&'^').is_some() {
                    out.push('^');
                }
            }
            // `[[:alpha:]]` means the same to both.
            '[' if rest.peek() == Some(&':') => {
                out.push('[');
                while let Some(c) = rest.next() {
                    out.push(c);
                    if c == ']' {
                        break;
                    }
                }
            }
            ']' if in_class && first => out.push_str("\\]"),
            ']' if in_class => {
                in_class = false;
                out.push(']');
            }
            '[' | '&' | '~' if in_class => {
                out.push('\\');
                out.push(c);
            }
            '-' if in_class && (first || rest.peek() == Some(&']') || out.ends_with('-')) => out.push_str("\\-"),
            c => out.push(c),
        }
    }
    out
}

fn escape(c: Option<char>, in_class: bool, out: &mut String) {
    let Some(c) = c else {
        out.push('\\');
        return;
    };
    match (perl(c), c) {
        (Some((set, false)), _) if in_class => out.push_str(set),
        (Some((set, true)), _) => {
            out.push_str("[^");
            out.push_str(set);
            out.push(']');
        }
        (Some((set, false)), _) => {
            out.push('[');
            out.push_str(set);
            out.push(']');
        }
        (None, 'b') if !in_class => out.push_str("(?-u:\\b)"),
        (None, c) => {
            out.push('\\');
            out.push(c);
        }
    }
}
