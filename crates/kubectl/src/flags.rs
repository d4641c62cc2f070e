//! Flags as short texts (`o,output= help`), and what was given for them.

use clap::{Arg, ArgAction, ArgMatches, Command};

/// Gives a command its flags. Each is `[letter,]name` and a mark: none for a switch, `=` one text, `*` a list parted by
/// commas, `+` a list taken as it is, `?text` a text with a meaning when it stands alone; then a space and its help.
pub(crate) fn with(mut command: Command, specs: &[&'static str]) -> Command {
    for spec in specs {
        command = command.arg(argument(spec));
    }
    command
}

fn argument(spec: &'static str) -> Arg {
    let (head, help) = spec.split_once(' ').unwrap_or((spec, ""));
    let (head, mark) = head.find(['=', '*', '+', '?']).map_or((head, ""), |i| head.split_at(i));
    let (letter, name) = head.split_once(',').map_or((None, head), |(l, n)| (l.chars().next(), n));
    let mut arg = Arg::new(name).long(name).help(help);
    if let Some(letter) = letter {
        arg = arg.short(letter);
    }
    match mark.chars().next() {
        None => arg.num_args(0..=1).require_equals(true).default_missing_value("true").action(ArgAction::Append).value_name("BOOL").hide_possible_values(true),
        Some('=') => arg.num_args(1).allow_hyphen_values(true).action(ArgAction::Append),
        Some('*') => arg.num_args(1).allow_hyphen_values(true).action(ArgAction::Append).value_delimiter(','),
        Some('?') => arg.num_args(0..=1).require_equals(true).default_missing_value(&mark[1..]).action(ArgAction::Append),
        Some(_) => arg.num_args(1).allow_hyphen_values(true).action(ArgAction::Append),
    }
}

/// What was given to a command.
#[derive(Clone, Debug)]
pub(crate) struct Given<'a> {
    pub(crate) matches: &'a ArgMatches,
    /// The command's words: `create deployment`.
    pub(crate) command: String,
}

impl<'a> Given<'a> {
    /// The last text given for a flag.
    pub(crate) fn text(&self, name: &str) -> Option<&'a str> {
        let all = self.matches.try_get_many::<String>(name).ok().flatten()?;
        all.last().map(String::as_str)
    }

    /// The text of a flag, or another one.
    pub(crate) fn text_or(&self, name: &str, otherwise: &'a str) -> &'a str {
        self.text(name).unwrap_or(otherwise)
    }

    /// Whether a switch is on.
    pub(crate) fn on(&self, name: &str) -> bool {
        self.on_or(name, false)
    }

    /// Whether a switch is on, with its state if it was not given.
    pub(crate) fn on_or(&self, name: &str, otherwise: bool) -> bool {
        self.text(name).map_or(otherwise, |v| matches!(v, "true" | "1" | "t" | "T" | "TRUE" | "True"))
    }

    /// Every text given for a flag.
    pub(crate) fn list(&self, name: &str) -> Vec<&'a str> {
        self.matches.try_get_many::<String>(name).ok().flatten().map(|all| all.map(String::as_str).collect()).unwrap_or_default()
    }

    /// The arguments before `--`.
    pub(crate) fn args(&self) -> Vec<&'a str> {
        self.list("args")
    }

    /// The arguments after `--`.
    pub(crate) fn rest(&self) -> Vec<&'a str> {
        self.list("rest")
    }

    /// A whole number.
    pub(crate) fn number(&self, name: &str) -> Result<Option<i64>, crate::failure::Failure> {
        let Some(text) = self.text(name) else { return Ok(None) };
        let parsed = text.parse().map(Some);
        let shown = match name {
            "v" => "-v, --v".to_owned(),
            "replicas" if self.command == "create deployment" => "-r, --replicas".to_owned(),
            other => format!("--{other}"),
        };
        parsed.map_err(|_| crate::failure::Failure::flag(format!("invalid argument \"{text}\" for \"{shown}\" flag: strconv.ParseInt: parsing \"{text}\": invalid syntax"), &self.command))
    }

    /// Refuses arguments where a command takes none.
    pub(crate) fn no_args(&self) -> Result<(), crate::failure::Failure> {
        match self.args()[..] {
            [] => Ok(()),
            ref args => Err(crate::failure::Failure::usage(format!("unexpected arguments: [{}]", args.join(" ")), &self.command)),
        }
    }

    /// A duration (`30s`, `1h5m`).
    pub(crate) fn duration(&self, name: &str) -> Result<Option<std::time::Duration>, crate::failure::Failure> {
        let Some(text) = self.text(name) else { return Ok(None) };
        let parsed = crate::times::parse_duration(text);
        parsed.map(Some).ok_or_else(|| crate::failure::Failure::flag(format!("invalid argument \"{text}\" for \"--{name}\" flag: time: invalid duration \"{text}\""), &self.command))
    }
}
