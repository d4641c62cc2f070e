//! The batch group: Jobs and what starts them.

pub(crate) mod cronjob;
pub(crate) mod job;
mod job_status;
pub(crate) mod schedule;
#[cfg(test)]
mod tests;
