//! The errors of `publish`.

use crate::model::BucketAddress;
use crate::plan::lease::PublicationStateError;

/// An error about several publications to one destination.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PublishError {
    /// Another publication did not end.
    #[error("another publication to {address} is still at work; nothing was changed")]
    Busy {
        /// The bucket.
        address: BucketAddress,
    },
    /// Another publication took over.
    #[error("another publication to {address} took over, because this one was silent for too long")]
    Overtaken {
        /// The bucket.
        address: BucketAddress,
    },
    /// This publication could not tell others that it is at work.
    #[error("{address} did not answer for so long that another publication may have begun")]
    Lapsed {
        /// The bucket.
        address: BucketAddress,
    },
    /// The state of the last publication cannot be used.
    #[error("cannot use {object}")]
    State {
        /// The object.
        object: String,
        /// The problem.
        #[source]
        source: PublicationStateError,
    },
}
