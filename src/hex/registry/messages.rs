//! The registry's protobuf messages (proto2; `registry/*.proto` in Hex's specifications). Enumerations are plain
//! numbers, so that values of later protocol versions are preserved.

use prost::Message;

#[derive(Clone, PartialEq, Message)]
pub(super) struct Signed {
    #[prost(bytes = "vec", required, tag = "1")]
    pub payload: Vec<u8>,
    #[prost(bytes = "vec", optional, tag = "2")]
    pub signature: Option<Vec<u8>>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Package {
    #[prost(message, repeated, tag = "1")]
    pub releases: Vec<Release>,
    #[prost(string, required, tag = "2")]
    pub name: String,
    #[prost(string, required, tag = "3")]
    pub repository: String,
    #[prost(message, repeated, tag = "4")]
    pub advisories: Vec<SecurityAdvisory>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Release {
    #[prost(string, required, tag = "1")]
    pub version: String,
    #[prost(bytes = "vec", required, tag = "2")]
    pub inner_checksum: Vec<u8>,
    #[prost(message, repeated, tag = "3")]
    pub dependencies: Vec<Dependency>,
    #[prost(message, optional, tag = "4")]
    pub retired: Option<RetirementStatus>,
    #[prost(bytes = "vec", optional, tag = "5")]
    pub outer_checksum: Option<Vec<u8>>,
    #[prost(uint32, repeated, packed = "false", tag = "6")]
    pub advisory_indexes: Vec<u32>,
    #[prost(message, optional, tag = "7")]
    pub published_at: Option<Timestamp>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct RetirementStatus {
    #[prost(int32, required, tag = "1")]
    pub reason: i32,
    #[prost(string, optional, tag = "2")]
    pub message: Option<String>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct SecurityAdvisory {
    #[prost(string, required, tag = "1")]
    pub id: String,
    #[prost(string, required, tag = "2")]
    pub summary: String,
    #[prost(string, required, tag = "3")]
    pub html_url: String,
    #[prost(int32, optional, tag = "4")]
    pub severity: Option<i32>,
    #[prost(float, optional, tag = "5")]
    pub cvss_score: Option<f32>,
    #[prost(string, required, tag = "6")]
    pub api_url: String,
    #[prost(string, repeated, tag = "7")]
    pub aliases: Vec<String>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Dependency {
    #[prost(string, required, tag = "1")]
    pub package: String,
    #[prost(string, required, tag = "2")]
    pub requirement: String,
    #[prost(bool, optional, tag = "3")]
    pub optional: Option<bool>,
    #[prost(string, optional, tag = "4")]
    pub app: Option<String>,
    #[prost(string, optional, tag = "5")]
    pub repository: Option<String>,
}

/// Without its rules (`registry/policy.proto`), which only the client evaluates.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Policy {
    #[prost(string, required, tag = "1")]
    pub repository: String,
    #[prost(string, required, tag = "2")]
    pub name: String,
}

/// A point in time (`google.protobuf.Timestamp`).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Message)]
pub struct Timestamp {
    /// Seconds since 1970-01-01T00:00:00Z.
    #[prost(int64, required, tag = "1")]
    pub seconds: i64,
    /// Nanoseconds within the second.
    #[prost(int32, required, tag = "2")]
    pub nanos: i32,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Names {
    #[prost(message, repeated, tag = "1")]
    pub packages: Vec<NamesPackage>,
    #[prost(string, required, tag = "2")]
    pub repository: String,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct NamesPackage {
    #[prost(string, required, tag = "1")]
    pub name: String,
    #[prost(message, optional, tag = "3")]
    pub updated_at: Option<Timestamp>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Versions {
    #[prost(message, repeated, tag = "1")]
    pub packages: Vec<VersionsPackage>,
    #[prost(string, required, tag = "2")]
    pub repository: String,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct VersionsPackage {
    #[prost(string, required, tag = "1")]
    pub name: String,
    #[prost(string, repeated, tag = "2")]
    pub versions: Vec<String>,
    #[prost(int32, repeated, tag = "3")]
    pub retired: Vec<i32>,
    #[prost(int32, repeated, tag = "5")]
    pub with_advisories: Vec<i32>,
}
