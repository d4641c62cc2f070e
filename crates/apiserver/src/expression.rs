//! CEL in the server's own configuration: claim mappings, user validation, match conditions. Compiled when the file is
//! read, run over JSON for each request. Docs: "Authenticating: AuthenticationConfiguration", "Authorization: webhook mode".

use cel::{Env, Program, Type, Value, Vars};
use serde_json::Value as Json;

/// What one expression may cost.
const BUDGET: u64 = 1_000_000;

/// A compiled expression.
pub(crate) struct Expression {
    program: Program,
    variables: Vec<&'static str>,
}

impl Expression {
    /// Compiles an expression over variables that are maps.
    ///
    /// # Errors
    /// What is wrong with it, as the compiler says it.
    pub(crate) fn compile(source: &str, variables: &[&'static str]) -> Result<Self, String> {
        let env = variables.iter().fold(Env::new(), |env, name| env.with(name, Type::map(Type::Text, Type::Dyn)));
        let program = env.compile(source).map_err(|e| format!("compilation failed: {e}"))?;
        Ok(Self { program, variables: variables.to_vec() })
    }

    /// Runs it; the values are in the order of the variables.
    ///
    /// # Errors
    /// What the evaluation says.
    pub(crate) fn run(&self, values: &[&Json]) -> Result<Json, String> {
        let vars = self.variables.iter().zip(values).fold(Vars::new(), |vars, (name, json)| vars.with(name, Value::plain(json)));
        let value = self.program.eval(&vars, BUDGET).value.map_err(|e| e.to_string())?;
        value.to_json().map_err(|e| e.to_string())
    }

    /// Whether it is true.
    ///
    /// # Errors
    /// The evaluation's, or a result that is no boolean.
    pub(crate) fn is_true(&self, values: &[&Json]) -> Result<bool, String> {
        self.run(values)?.as_bool().ok_or_else(|| "the expression did not return a boolean".to_owned())
    }
}
