//! A request on its way, with what was found out about it before it is answered.

use crate::arriving::Arriving;
use crate::audit::Trail;
use crate::fairness;
use crate::request::RequestInfo;
use crate::respond::Accept;
use crate::server::Shared;
use http::Request;
use registry::Caller;
use std::sync::Arc;

/// One request on its way.
pub(crate) struct Call {
    pub(crate) shared: Arc<Shared>,
    pub(crate) info: Arc<RequestInfo>,
    pub(crate) accept: Accept,
    pub(crate) caller: Caller,
    pub(crate) request: Request<Arriving>,
    /// The seats of a watch, until it has begun.
    pub(crate) permit: Option<fairness::Permit>,
    pub(crate) trail: Option<Arc<Trail>>,
}
