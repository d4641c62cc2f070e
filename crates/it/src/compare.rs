//! The same commands with two kubectls, in two namespaces of one cluster: output, error output and exit code must be equal, but
//! for what differs by nature (ages, generated names, addresses).
//!
//! In a file of commands `## name` begins a part, which gets namespaces of its own; `$ command` is run and compared, `> command`
//! is only run.

use anyhow::{Result, anyhow, bail};
use regex::Regex;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// One command; the stock kubectl takes seconds where many programs share the processors.
const COMMAND_LIMIT_S: u32 = 60;
const PART_LIMIT: Duration = Duration::from_secs(420);
/// What is added to a part's number for its second run.
const AGAIN: usize = 50;

/// A part of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    pub name: String,
    /// Commands, and whether they are compared.
    pub commands: Vec<(String, bool)>,
}

/// Reads the parts of a file.
#[must_use]
pub fn read(text: &str) -> Vec<Part> {
    let mut parts: Vec<Part> = Vec::new();
    for line in text.lines() {
        if let Some(name) = line.strip_prefix("## ") {
            parts.push(Part { name: name.to_owned(), commands: Vec::new() });
        } else if let Some(part) = parts.last_mut() {
            let compared = line.strip_prefix("$ ").map(|c| (c.to_owned(), true));
            part.commands.extend(compared.or_else(|| line.strip_prefix("> ").map(|c| (c.to_owned(), false))));
        }
    }
    parts
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}

/// Where the two are compared.
#[derive(Clone, Debug)]
pub struct Place {
    /// For the files of both.
    pub dir: PathBuf,
    pub kubeconfig: PathBuf,
    /// How a command gets to the cluster: empty, or a program with its arguments.
    pub inside: Vec<String>,
}

/// A script that runs every command of a part with `program` as kubectl and leaves `N.out`, `N.err` and `N.code` in `dir/said`.
fn script(part: &Part, program: &Path, dir: &Path, kubeconfig: &Path, namespace: &str, letter: char) -> String {
    let path = |p: &Path| quoted(&p.display().to_string());
    let many = path(&crate::machine::workspace().join("crates/it/tests/steps/compare.yaml"));
    let (program, cache, dir, kubeconfig) = (path(program), path(&dir.join("../cache")), path(dir), path(kubeconfig));
    let mut out = format!(
        "set -e; mkdir -p {dir}/bin {dir}/work {dir}/said; ln -s {program} {dir}/bin/kubectl; cp {kubeconfig} {dir}/kubeconfig\n\
         export PATH={dir}/bin:$PATH KUBECONFIG={dir}/kubeconfig HOME={dir}/work KUBECACHEDIR={cache} N={namespace} O=obj{letter} X={letter} MANY={many} KUBECTL_KUBERC=false TERM=xterm\n\
         cd {dir}/work\nkubectl create namespace $N >/dev/null\nkubectl config set-context --current --namespace=$N >/dev/null\n\
         kubectl wait --for=create serviceaccount/default configmap/kube-root-ca.crt --timeout=60s >/dev/null\n"
    );
    for (i, (command, _)) in part.commands.iter().enumerate() {
        let line = format!("timeout {COMMAND_LIMIT_S} bash -c {} >{dir}/said/{i}.out 2>{dir}/said/{i}.err </dev/null && echo 0 >{dir}/said/{i}.code || echo $? >{dir}/said/{i}.code", quoted(command));
        writeln!(out, "{line}").expect("a string takes everything");
    }
    out.push_str("kubectl delete namespace $N --wait=false >/dev/null\n");
    out
}

impl Place {
    /// Runs a part with one program; gives the directory of its answers and the words that only this run has.
    fn run(&self, part: &Part, id: &str, program: &Path, letter: char) -> Result<(PathBuf, Vec<(String, &'static str)>)> {
        let dir = self.dir.join(format!("compare-{id}{letter}"));
        std::fs::create_dir_all(&dir)?;
        let namespace = format!("cmp{letter}{id}");
        let text = script(part, program, &dir, &self.kubeconfig, &namespace, letter);
        let words: Vec<&str> = self.inside.iter().map(String::as_str).chain(["bash", "-c", &text]).collect();
        let mut command = Command::new(words[0]);
        command.args(&words[1..]);
        let said = crate::script::run(command, PART_LIMIT, &dir.join("log"))?;
        if !said.ok {
            bail!("{}: {}", program.display(), said.text);
        }
        let own = vec![(dir.display().to_string(), "DIR"), (namespace, "NAMESPACE"), (format!("obj{letter}"), "OBJECT")];
        Ok((dir, own))
    }

    /// Runs every command of a part with the stock kubectl and, at the same time, with ours, each in a namespace of its own, and
    /// tells where they differ.
    fn once(&self, part: &Part, id: &str, stock: &Path, ours: &Path) -> Result<Vec<String>> {
        let (a, b) = std::thread::scope(|scope| {
            let a = scope.spawn(|| self.run(part, id, stock, 'a'));
            let b = self.run(part, id, ours, 'b');
            (a.join().unwrap_or_else(|_| Err(anyhow!("the thread of the stock kubectl panicked"))), b)
        });
        let (a, b) = (a?, b?);
        Ok(differences(part, [(&a.0, &a.1), (&b.0, &b.1)]))
    }

    /// The same, and once more in new namespaces when they differ: what a busy machine's moment made different does not count.
    pub fn compare(&self, part: &Part, number: usize, stock: &Path, ours: &Path) -> Result<Vec<String>> {
        let first = self.once(part, &format!("{number:02}"), stock, ours)?;
        if first.is_empty() {
            return Ok(first);
        }
        println!("asked again, as these differed: {first:#?}");
        let again = self.once(part, &format!("{:02}", number + AGAIN), stock, ours)?;
        let command = |d: &str| d.split("\n---").next().unwrap_or_default().to_owned();
        let before: Vec<String> = first.iter().map(|d| command(d)).collect();
        Ok(again.into_iter().filter(|d| before.contains(&command(d))).collect())
    }
}

/// What differs by nature made equal.
#[derive(Debug)]
pub struct Norms(Vec<(Regex, &'static str)>);

impl Default for Norms {
    fn default() -> Self {
        let all = [
            (r"(?m)^[EWI]\d{4} .*\n", ""),
            (r#"(?m)^ +"?creationTimestamp"?: null,?\n"#, ""),
            (r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", "UID"),
            (r"\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)", "TIME"),
            (r"\b(Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d\d \w{3} \d{4} \d\d:\d\d:\d\d [+-]\d{4}", "TIME"),
            (r#"((resourceVersion|Resource Version)"?: +"?)\d+"#, "${1}RV"),
            (r"-[0-9a-f]{6,10}-[bcdfghjklmnpqrstvwxz2456789]{5}\b", "-HASH-RAND"),
            (r"\b10\.(244|9[6-9]|1[01]\d)\.\d+\.\d+", "IP"),
            (r#",?"creationTimestamp":null"#, ""),
            (r"(LIVE|MERGED)-[0-9A-Za-z]+", "$1-N"),
            (r"kubectl-edit-[0-9A-Za-z]+", "kubectl-edit-N"),
            (r"timonel://[0-9a-f]+", "timonel://ID"),
            (r"kube-api-access-.....", "kube-api-access-RAND"),
            // An empty metadata was never empty before 1.34.
            (r"(?m)metadata: \{\}$", "metadata:"),
            // kubectl says since 1.34 where from.
            (r"( deleted( \(.*\))?) from \S+ namespace", "$1"),
            (r"([\s(])(\d+[yd]\d+[dh]|\d+h\d+m|\d+m\d+s|\d+[smhd])([\s)])", "${1}AGE${3}"),
            (r" {2,}", "  "),
        ];
        Self(all.into_iter().map(|(p, r)| (Regex::new(p).expect("the patterns are constants"), r)).collect())
    }
}

impl Norms {
    /// A text as it is compared; `own` are the words that only this run has, and what they become.
    #[must_use]
    pub fn apply(&self, text: &str, own: &[(String, &str)]) -> String {
        let mut text = own.iter().fold(text.to_owned(), |t, (from, to)| t.replace(from.as_str(), to));
        for (pattern, with) in &self.0 {
            text = pattern.replace_all(&text, *with).into_owned();
        }
        text
    }
}

/// What one command said.
fn said(dir: &Path, i: usize, norms: &Norms, own: &[(String, &str)]) -> String {
    // A command that left nothing said nothing.
    let read = |end: &str| std::fs::read_to_string(dir.join(format!("said/{i}.{end}"))).unwrap_or_default();
    format!("exit code {}--- standard output\n{}--- standard error\n{}", read("code"), norms.apply(&read("out"), own), norms.apply(&read("err"), own))
}

/// The commands of a part that two runs answered differently, with both answers.
fn differences(part: &Part, runs: [(&Path, &[(String, &'static str)]); 2]) -> Vec<String> {
    let norms = Norms::default();
    let mut out = Vec::new();
    for (i, (command, compared)) in part.commands.iter().enumerate() {
        let [stock, ours] = runs.map(|(dir, own)| said(dir, i, &norms, own));
        if *compared && stock != ours {
            out.push(format!("$ {command}\n--- the stock kubectl: {stock}\n--- ours: {ours}"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::{Norms, read};

    #[test]
    fn parts_have_commands_of_two_weights() {
        let parts = read("## one\n$ a\n> b\nnoise\n## two\n$ c\n");
        assert_eq!(parts.len(), 2);
        assert_eq!(parts[0].commands, [("a".to_owned(), true), ("b".to_owned(), false)]);
    }

    #[test]
    fn what_differs_by_nature_is_made_equal() {
        let norms = Norms::default();
        let own = [("cmpa".to_owned(), "NS")];
        assert_eq!(norms.apply("web-7cc7c7c9b4-x2x4b   1/1     5m10s\n", &own), "web-HASH-RAND  1/1  AGE\n");
        assert_eq!(norms.apply("pod \"x\" deleted from cmpa namespace\n", &own), "pod \"x\" deleted\n");
    }
}
