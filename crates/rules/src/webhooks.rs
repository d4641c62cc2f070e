//! Webhook configurations and admission policies. Docs: "Dynamic Admission Control", "Validating Admission Policy".

pub(crate) mod config;
pub(crate) mod policies;
