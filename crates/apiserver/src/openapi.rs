//! TEMPORARY until the openapi helper lands.
use crate::handler::Call;
use crate::respond::Reply;
use kinds::ApiError;
pub(crate) fn v2(_: &Call) -> Result<Reply, ApiError> { Err(ApiError::no_such_path()) }
pub(crate) fn v3_index(_: &Call) -> Result<Reply, ApiError> { Err(ApiError::no_such_path()) }
pub(crate) fn v3(_: &Call, _: &str) -> Result<Reply, ApiError> { Err(ApiError::no_such_path()) }
