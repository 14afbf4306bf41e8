//! What a request is about: its path, query and headers (API concepts, "Resource URIs").

use super::status::ApiError;
use axum::{
    extract::Query as AxumQuery,
    http::{HeaderMap, Method, Uri, header},
};
use std::collections::BTreeMap;

/// What is asked, in the words of RBAC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verb {
    Get,
    List,
    Watch,
    Create,
    Update,
    Patch,
    Delete,
    DeleteCollection,
}

impl Verb {
    fn of(method: &Method, target: &Target, query: &Query) -> Option<Self> {
        let is_named = target.name.is_some();
        match *method {
            Method::GET if query.is_set("watch") => Some(Self::Watch),
            Method::GET if is_named => Some(Self::Get),
            Method::GET => Some(Self::List),
            Method::POST => Some(Self::Create),
            Method::PUT => Some(Self::Update),
            Method::PATCH => Some(Self::Patch),
            Method::DELETE if is_named => Some(Self::Delete),
            Method::DELETE => Some(Self::DeleteCollection),
            _ => None,
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::List => "list",
            Self::Watch => "watch",
            Self::Create => "create",
            Self::Update => "update",
            Self::Patch => "patch",
            Self::Delete => "delete",
            Self::DeleteCollection => "deletecollection",
        }
    }

    pub(crate) fn is_write(self) -> bool {
        !matches!(self, Self::Get | Self::List | Self::Watch)
    }
}

/// The resource that a path names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) group: String,
    pub(crate) version: String,
    pub(crate) namespace: Option<String>,
    pub(crate) plural: String,
    pub(crate) name: Option<String>,
    pub(crate) subresource: Option<String>,
}

impl Target {
    /// Reads `/api/v1/…` or `/apis/<group>/<version>/…`; `None` for every other path.
    pub(crate) fn parse(path: &str) -> Option<Self> {
        let parts: Vec<String> =
            path.split('/').filter(|part| !part.is_empty()).map(decoded).collect();
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        let (group, version, rest) = match parts.as_slice() {
            ["api", version, rest @ ..] => ("", *version, rest),
            ["apis", group, version, rest @ ..] => (*group, *version, rest),
            _ => return None,
        };
        let (namespace, rest) = match rest {
            // The namespace itself and its subresources.
            ["namespaces", _, "status" | "finalize"] => (None, rest),
            ["namespaces", namespace, rest @ ..] if !rest.is_empty() => (Some(*namespace), rest),
            rest => (None, rest),
        };
        let (plural, name, subresource) = match rest {
            [plural] => (*plural, None, None),
            [plural, name] => (*plural, Some(*name), None),
            [plural, name, subresource] => (*plural, Some(*name), Some(*subresource)),
            _ => return None,
        };
        // Access to a namespace is asked for inside it.
        let namespace = if plural == "namespaces" { name } else { namespace };
        Some(Self {
            group: group.to_owned(),
            version: version.to_owned(),
            namespace: namespace.map(str::to_owned),
            plural: plural.to_owned(),
            name: name.map(str::to_owned),
            subresource: subresource.map(str::to_owned),
        })
    }

    pub(crate) fn resource_and_subresource(&self) -> String {
        match &self.subresource {
            Some(subresource) => format!("{}/{subresource}", self.plural),
            None => self.plural.clone(),
        }
    }

    pub(crate) fn qualified(&self) -> String {
        if self.group.is_empty() {
            self.plural.clone()
        } else {
            format!("{}.{}", self.plural, self.group)
        }
    }

    /// The namespace objects lie in; none for namespaces themselves.
    pub(crate) fn object_namespace(&self) -> Option<&str> {
        self.namespace.as_deref().filter(|_| self.plural != "namespaces")
    }
}

/// Percent-decoding (RFC 3986); broken sequences stay.
fn decoded(part: &str) -> String {
    let bytes = part.as_bytes();
    let (mut at, mut out) = (0, Vec::new());
    while at < bytes.len() {
        let code = (bytes[at] == b'%').then(|| part.get(at + 1..at + 3)).flatten();
        if let Some(byte) = code.and_then(|code| u8::from_str_radix(code, 16).ok()) {
            out.push(byte);
            at += 3;
        } else {
            out.push(bytes[at]);
            at += 1;
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// Query parameters; the first of a name counts.
#[derive(Debug, Clone, Default)]
pub(crate) struct Query(BTreeMap<String, String>);

impl Query {
    pub(crate) fn parse(uri: &Uri) -> Self {
        let pairs = AxumQuery::<Vec<(String, String)>>::try_from_uri(uri);
        let mut query = BTreeMap::new();
        for (name, value) in pairs.map(|AxumQuery(pairs)| pairs).unwrap_or_default() {
            query.entry(name).or_insert(value);
        }
        Self(query)
    }

    pub(crate) fn get(&self, name: &str) -> &str {
        self.0.get(name).map_or("", String::as_str)
    }

    pub(crate) fn is_set(&self, name: &str) -> bool {
        matches!(self.get(name), "1" | "true")
    }

    pub(crate) fn number(&self, name: &str) -> Option<u64> {
        self.get(name).parse().ok()
    }
}

/// What the client wants to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Accept {
    Json,
    /// Rows for people (`as=Table`).
    Table,
    /// Only `metadata` (`as=PartialObjectMetadata` or its list).
    Metadata,
}

impl Accept {
    /// The first form of the header that is offered here: JSON.
    pub(crate) fn parse(header: &str) -> Result<Self, ApiError> {
        if header.is_empty() {
            return Ok(Self::Json);
        }
        let mut forms = header.split(',').map(str::trim);
        forms.find_map(Self::form).ok_or_else(ApiError::not_acceptable)
    }

    fn form(text: &str) -> Option<Self> {
        let mut parts = text.split(';').map(str::trim);
        let media = parts.next()?;
        if !matches!(media, "application/json" | "*/*" | "application/*") {
            return None;
        }
        match parts.find_map(|part| part.strip_prefix("as=")) {
            None => Some(Self::Json),
            Some("Table") => Some(Self::Table),
            Some("PartialObjectMetadata" | "PartialObjectMetadataList") => Some(Self::Metadata),
            Some(_) => None,
        }
    }
}

/// One request on a resource.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) user: String,
    pub(crate) verb: Verb,
    pub(crate) target: Target,
    pub(crate) query: Query,
    pub(crate) accept: Accept,
    pub(crate) content_type: String,
    /// Who the change is written down for.
    pub(crate) manager: String,
    pub(crate) body: axum::body::Bytes,
}

impl Call {
    pub(crate) fn new(
        method: &Method,
        uri: &Uri,
        headers: &HeaderMap,
        target: Target,
        user: String,
    ) -> Result<(Verb, Self), ApiError> {
        let text = |name| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or("");
        let query = Query::parse(uri);
        let verb = Verb::of(method, &target, &query).ok_or_else(ApiError::method_not_allowed)?;
        let content_type = text(header::CONTENT_TYPE).split(';').next().unwrap_or("").trim();
        let agent = text(header::USER_AGENT).split('/').next().unwrap_or("unknown");
        let manager = Some(query.get("fieldManager")).filter(|name| !name.is_empty());
        let call = Self {
            user,
            verb,
            accept: Accept::parse(text(header::ACCEPT))?,
            content_type: content_type.to_owned(),
            manager: manager.unwrap_or(agent).to_owned(),
            target,
            query,
            body: axum::body::Bytes::new(),
        };
        Ok((verb, call))
    }

    pub(crate) fn is_dry_run(&self) -> bool {
        self.query.get("dryRun") == "All"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths() {
        let parsed = |path: &str| {
            let target = Target::parse(path).unwrap();
            let or = |part: &Option<String>| part.clone().unwrap_or_else(|| "-".into());
            format!(
                "{} {} {} {} {} {}",
                target.group,
                target.version,
                or(&target.namespace),
                target.plural,
                or(&target.name),
                or(&target.subresource)
            )
        };
        assert_eq!(parsed("/api/v1/namespaces/a/pods/b/binding"), " v1 a pods b binding");
        assert_eq!(parsed("/api/v1/nodes/n%3A1"), " v1 - nodes n:1 -");
        assert_eq!(parsed("/api/v1/namespaces/a"), " v1 a namespaces a -");
        assert_eq!(parsed("/api/v1/namespaces/a/status"), " v1 a namespaces a status");
        assert_eq!(parsed("/apis/x.io/v1/gps"), "x.io v1 - gps - -");
        assert_eq!(Target::parse("/apis/x.io/v1"), None);
    }

    #[test]
    fn the_first_form_that_is_offered() {
        let form = |text: &str| Accept::parse(text).ok();
        let kubectl = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json";
        assert_eq!(form(kubectl), Some(Accept::Table));
        assert_eq!(
            form("application/vnd.kubernetes.protobuf,application/json"),
            Some(Accept::Json)
        );
        assert_eq!(form("text/html"), None);
        assert_eq!(
            form("application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"),
            Some(Accept::Metadata)
        );
    }
}
