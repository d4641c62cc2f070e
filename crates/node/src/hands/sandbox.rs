//! Making and taking away sandboxes: network namespace first, then the runtime and the network side by side.

use super::{Hands, SandboxOwner, blocking, chain, network_owner};
use crate::translate;
use pods::plan::SandboxPlan;
use pods::{Failure, Outcome, SandboxView};
use runtime::cri::RuntimeError;
use std::path::PathBuf;
use std::sync::Arc;

/// Host ids that pods with user namespaces of their own are mapped to, one range a pod.
const USERNS_FIRST: u32 = 65_536;
const USERNS_LENGTH: u32 = 65_536;
const USERNS_RANGES: u32 = 1024;

/// A stable range for a pod (KEP-127). Two pods may share one only by a collision of their uids.
fn userns(uid: &str) -> (u32, u32) {
    let hash = uid.bytes().fold(0x811c_9dc5u32, |h, b| (h ^ u32::from(b)).wrapping_mul(0x0100_0193));
    (USERNS_FIRST + (hash % USERNS_RANGES) * USERNS_LENGTH, USERNS_LENGTH)
}

impl Hands {
    pub(crate) async fn create_sandbox(&self, plan: SandboxPlan) -> Outcome {
        let owner = SandboxOwner { uid: plan.uid.clone(), attempt: plan.attempt };
        match self.run_sandbox(&plan, &owner).await {
            Ok((id, ips)) => {
                self.sandboxes.lock().insert(id.clone(), owner);
                Outcome::Sandbox(SandboxView { id, attempt: plan.attempt, ready: true, created_at: self.clock.now(), ips })
            }
            Err(message) => {
                if !plan.host_network {
                    let (network, name) = (Arc::clone(&self.network), network_owner(&owner.uid, owner.attempt));
                    if let Err(e) = blocking(move || network.remove(&name)).await {
                        tracing::warn!(pod = %plan.uid, err = %e, "Failed to clean up the network of a sandbox that was not made");
                    }
                }
                Outcome::Failed(Failure::new(message))
            }
        }
    }

    async fn run_sandbox(&self, plan: &SandboxPlan, owner: &SandboxOwner) -> Result<(String, Vec<String>), String> {
        let ids = plan.user_namespace.then(|| userns(&plan.uid));
        let run = |netns: Option<PathBuf>| {
            let config = translate::sandbox(plan, netns, ids);
            async move { self.runtime.run_sandbox(config).await.map_err(|e| chain(&e)) }
        };
        if plan.host_network {
            return Ok((run(None).await?, Vec::new()));
        }
        let name = network_owner(&owner.uid, owner.attempt);
        let (network, created) = (Arc::clone(&self.network), name.clone());
        let netns = blocking(move || network.create(&created)).await?;
        let (network, ports) = (Arc::clone(&self.network), plan.host_ports.clone());
        let attach = blocking(move || network.attach(&name, &ports));
        let (id, ips) = tokio::join!(run(Some(netns)), attach);
        match (id, ips) {
            (Ok(id), Ok(ips)) => Ok((id, ips)),
            (Ok(id), Err(e)) => {
                self.drop_sandbox(&id).await;
                Err(format!("failed to setup network for sandbox \"{id}\": {e}"))
            }
            (Err(e), _) => Err(e),
        }
    }

    async fn drop_sandbox(&self, id: &str) {
        for result in [self.runtime.stop_sandbox(id).await, self.runtime.remove_sandbox(id).await] {
            if let Err(e) = result {
                tracing::warn!(sandbox = %id, err = %chain(&e), "Failed to remove a sandbox without network");
            }
        }
    }

    pub(crate) async fn stop_sandbox(&self, id: &str) -> Outcome {
        match self.runtime.stop_sandbox(id).await {
            Ok(()) | Err(RuntimeError::NotFound { .. }) => {}
            Err(e) => return super::failed(&e),
        }
        let Some(owner) = self.sandboxes.lock().get(id).cloned() else { return Outcome::Done };
        let network = Arc::clone(&self.network);
        super::done(blocking(move || network.remove(&network_owner(&owner.uid, owner.attempt))).await)
    }

    pub(crate) async fn remove_sandbox(&self, id: &str) -> Outcome {
        match self.runtime.remove_sandbox(id).await {
            Ok(()) | Err(RuntimeError::NotFound { .. }) => {
                self.sandboxes.lock().remove(id);
                Outcome::Done
            }
            Err(e) => super::failed(&e),
        }
    }
}
