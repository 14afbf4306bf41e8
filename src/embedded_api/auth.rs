//! Who asks, and what they may not do.

use super::{
    request::{Target, Verb},
    status::ApiError,
};
use std::collections::BTreeMap;

/// The user of a request without credentials.
const ANONYMOUS: &str = "system:anonymous";

/// Something that a user may not do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Denied {
    /// `get`, `list`, `watch`, `create`, `update`, `patch`, `delete`, `deletecollection`, or `*`.
    pub verb: String,
    /// Plural name, with `/scale` and the like for a subresource, or `*` for everything.
    pub resource: String,
    /// Where it is denied.
    pub place: Place,
}

/// Where something is denied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// Always.
    Everywhere,
    /// Only across all namespaces at once.
    ClusterScope,
    /// Only for the object of this name.
    Name(String),
}

impl Denied {
    /// A pair that is denied everywhere.
    pub fn new(verb: &str, resource: &str) -> Self {
        Self { verb: verb.to_owned(), resource: resource.to_owned(), place: Place::Everywhere }
    }

    /// The same, there only.
    #[must_use]
    pub fn at(self, place: Place) -> Self {
        Self { place, ..self }
    }
}

/// Tokens and denials. Without tokens everyone is `admin`.
#[derive(Debug, Clone, Default)]
pub(crate) struct Auth {
    /// User names by token.
    pub(crate) tokens: BTreeMap<String, String>,
    /// Denials by user name.
    pub(crate) denied: BTreeMap<String, Vec<Denied>>,
}

impl Auth {
    /// The user behind an `Authorization` header. Without a header it is the anonymous one, who may read what
    /// is public; an unknown token is refused.
    pub(crate) fn user(&self, header: Option<&str>) -> Result<String, ApiError> {
        if self.tokens.is_empty() {
            return Ok("admin".to_owned());
        }
        let Some(header) = header else { return Ok(ANONYMOUS.to_owned()) };
        let token = header.strip_prefix("Bearer ").unwrap_or_default().trim();
        self.tokens.get(token).cloned().ok_or_else(ApiError::unauthorized)
    }

    /// Whether `user` may do this; resources are denied before it is looked whether they exist.
    pub(crate) fn check(&self, user: &str, verb: Verb, target: &Target) -> Result<(), ApiError> {
        let resource = target.resource_and_subresource();
        let is_denied = |denied: &Denied| {
            (denied.verb == "*" || denied.verb == verb.name())
                && (denied.resource == "*" || denied.resource == resource)
                && match &denied.place {
                    Place::Everywhere => true,
                    Place::ClusterScope => target.namespace.is_none(),
                    Place::Name(name) => target.name.as_ref() == Some(name),
                }
        };
        let listed = self.denied.get(user).is_some_and(|all| all.iter().any(is_denied));
        if user != ANONYMOUS && !listed {
            return Ok(());
        }
        let (group, plural) = (&target.group, &target.plural);
        let place = match &target.namespace {
            Some(namespace) => format!("in the namespace {namespace:?}"),
            None => "at the cluster scope".to_owned(),
        };
        let about = match &target.name {
            Some(name) => format!("{} {name:?}", target.qualified()),
            None => target.qualified(),
        };
        let message = format!(
            "{about} is forbidden: User {user:?} cannot {} resource {resource:?} in API group \
             {group:?} {place}",
            verb.name(),
        );
        Err(ApiError::forbidden(group, plural, target.name.as_deref(), message))
    }
}
