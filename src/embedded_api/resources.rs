//! Which resources there are: the built-in ones and those that CRDs add.

use super::{crd::columns::Column, crd::schema::Schema, object, status, store::Pairs};
use serde_json::Value;
use std::{collections::BTreeMap, sync::Arc};

/// How an object looks in one version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// As it is stored, but for `apiVersion` (and what the version's schema does not know).
    Same,
    /// An Event with the field names of events.k8s.io/v1.
    NewEvent,
}

/// Where the numbers of the scale subresource are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ScalePaths {
    pub(crate) spec: String,
    pub(crate) status: String,
    pub(crate) selector: Option<String>,
}

/// One served version of a resource.
#[derive(Debug, Clone)]
pub(crate) struct Version {
    pub(crate) name: String,
    /// What the Warning header says.
    pub(crate) deprecation: Option<String>,
    pub(crate) has_status: bool,
    pub(crate) scale: Option<ScalePaths>,
    pub(crate) schema: Option<Arc<Schema>>,
    pub(crate) columns: Vec<Column>,
    pub(crate) form: Form,
}

/// One resource of one group.
#[derive(Debug, Clone)]
pub(crate) struct Resource {
    pub(crate) group: String,
    pub(crate) plural: String,
    pub(crate) singular: String,
    pub(crate) kind: String,
    pub(crate) list_kind: String,
    pub(crate) short_names: Vec<String>,
    pub(crate) categories: Vec<String>,
    pub(crate) namespaced: bool,
    /// First the preferred one.
    pub(crate) versions: Vec<Version>,
    pub(crate) storage_version: String,
    /// Name of the table in the store.
    pub(crate) table: String,
    /// Defined by a CRD.
    pub(crate) is_custom: bool,
    /// `metadata.generation` counts the changes of the spec.
    pub(crate) has_generation: bool,
    /// Top-level fields; empty if the schema knows them.
    pub(crate) top_level: Vec<String>,
    /// Paths that field selectors may name, besides name and namespace.
    pub(crate) selectable: Vec<String>,
}

impl Resource {
    /// `leases.coordination.k8s.io`, as messages name it.
    pub(crate) fn qualified(&self) -> String {
        qualified(&self.plural, &self.group)
    }

    /// `Lease.coordination.k8s.io`.
    pub(crate) fn qualified_kind(&self) -> String {
        qualified(&self.kind, &self.group)
    }

    pub(crate) fn details(&self, name: &str) -> Value {
        status::details(name, &self.group, &self.plural)
    }

    pub(crate) fn version(&self, name: &str) -> Option<&Version> {
        self.versions.iter().find(|version| version.name == name)
    }

    pub(crate) fn api_version(&self, version: &str) -> String {
        api_version(&self.group, version)
    }

    pub(crate) fn stored_api_version(&self) -> String {
        // Events of both groups lie in one table in the older form.
        let group = if self.table == "events" { "" } else { &self.group };
        api_version(group, &self.storage_version)
    }

    /// The stored path behind the one of a field selector.
    pub(crate) fn field_path(&self, asked: &str) -> Option<String> {
        if matches!(asked, "metadata.name" | "metadata.namespace") {
            return Some(asked.to_owned());
        }
        let path = match (self.group.as_str(), asked.split_once('.')) {
            ("events.k8s.io", Some(("regarding", part))) => format!("involvedObject.{part}"),
            ("events.k8s.io", None) if asked == "reportingController" => {
                "reportingComponent".into()
            }
            _ => asked.to_owned(),
        };
        self.selectable.contains(&path).then_some(path)
    }

    /// The fields of a stored object that selectors may ask for.
    pub(crate) fn fields(&self, stored: &Value) -> Pairs {
        let text = |path: &String| {
            let value = match object::at(stored, path)? {
                Value::String(text) => text.clone(),
                Value::Null => return None,
                // `source` of an Event means its component.
                Value::Object(map) => map.get("component")?.as_str()?.to_owned(),
                other => other.to_string(),
            };
            Some((path.clone(), value))
        };
        self.selectable.iter().filter_map(text).collect()
    }

    /// Namespaces go one by one.
    pub(crate) fn allows_delete_collection(&self) -> bool {
        self.table != "namespaces"
    }

    /// A PUT without resourceVersion replaces whatever is there.
    pub(crate) fn allows_blind_update(&self) -> bool {
        !self.is_custom
            && !matches!(self.plural.as_str(), "leases" | "resourceslices")
            && self.plural != "customresourcedefinitions"
    }
}

fn qualified(name: &str, group: &str) -> String {
    if group.is_empty() { name.to_owned() } else { format!("{name}.{group}") }
}

pub(crate) fn api_version(group: &str, version: &str) -> String {
    if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") }
}

/// All resources by group and plural name.
#[derive(Debug)]
pub(crate) struct Registry {
    by_name: BTreeMap<(String, String), Arc<Resource>>,
}

impl Registry {
    pub(crate) fn with_built_ins() -> Self {
        let built_in = BUILT_INS.iter().map(BuiltIn::resource);
        Self {
            by_name: built_in.map(|r| ((r.group.clone(), r.plural.clone()), Arc::new(r))).collect(),
        }
    }

    pub(crate) fn get(&self, group: &str, plural: &str) -> Option<Arc<Resource>> {
        self.by_name.get(&(group.to_owned(), plural.to_owned())).cloned()
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = &Arc<Resource>> {
        self.by_name.values()
    }

    /// The resource whose objects are stored under this type.
    pub(crate) fn of_kind(&self, api_version: &Value, kind: &Value) -> Option<Arc<Resource>> {
        let is_it = |resource: &&Arc<Resource>| {
            *kind == *resource.kind
                && *api_version == *resource.stored_api_version()
                && *api_version == *resource.api_version(&resource.storage_version)
        };
        self.all().find(is_it).cloned()
    }

    pub(crate) fn add(&mut self, resource: Resource) {
        let name = (resource.group.clone(), resource.plural.clone());
        self.by_name.insert(name, Arc::new(resource));
    }

    pub(crate) fn remove(&mut self, group: &str, plural: &str) {
        self.by_name.remove(&(group.to_owned(), plural.to_owned()));
    }
}

/// One line of the table of built-in resources.
struct BuiltIn {
    group: &'static str,
    version: &'static str,
    plural: &'static str,
    kind: &'static str,
    short: &'static str,
    /// `n` namespaced, `s` status subresource, `c` scale subresource, `g` generation, `a` part of
    /// what kubectl calls `all`.
    flags: &'static str,
    /// Top-level fields besides apiVersion, kind and metadata.
    top_level: &'static str,
    selectable: &'static str,
}

impl BuiltIn {
    fn has(&self, flag: char) -> bool {
        self.flags.contains(flag)
    }

    fn resource(&self) -> Resource {
        let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        let is_new_event = self.group == "events.k8s.io";
        let scale = ScalePaths {
            spec: ".spec.replicas".into(),
            status: ".status.replicas".into(),
            selector: None,
        };
        let version = Version {
            name: self.version.into(),
            deprecation: None,
            has_status: self.has('s'),
            scale: self.has('c').then_some(scale),
            schema: None,
            columns: Vec::new(),
            form: if is_new_event { Form::NewEvent } else { Form::Same },
        };
        Resource {
            group: self.group.into(),
            plural: self.plural.into(),
            singular: self.kind.to_lowercase(),
            kind: self.kind.into(),
            list_kind: format!("{}List", self.kind),
            short_names: words(self.short),
            categories: if self.has('a') { vec!["all".into()] } else { Vec::new() },
            namespaced: self.has('n'),
            versions: vec![version],
            storage_version: self.version.into(),
            table: if is_new_event { "events".into() } else { qualified(self.plural, self.group) },
            is_custom: false,
            has_generation: self.has('g'),
            top_level: words(self.top_level),
            selectable: words(self.selectable),
        }
    }
}

const EVENT_FIELDS: &str = "involvedObject.kind involvedObject.namespace involvedObject.name \
    involvedObject.uid involvedObject.apiVersion involvedObject.resourceVersion \
    involvedObject.fieldPath reason reportingComponent source type";

macro_rules! built_in {
    ($group:literal $version:literal $plural:literal $kind:literal $short:literal $flags:literal
     $top_level:literal $selectable:expr) => {
        BuiltIn {
            group: $group,
            version: $version,
            plural: $plural,
            kind: $kind,
            short: $short,
            flags: $flags,
            top_level: $top_level,
            selectable: $selectable,
        }
    };
}

#[rustfmt::skip]
const BUILT_INS: &[BuiltIn] = &[
    built_in!("" "v1" "configmaps" "ConfigMap" "cm" "n" "data binaryData immutable" ""),
    built_in!("" "v1" "events" "Event" "ev" "n" "involvedObject reason message source firstTimestamp lastTimestamp count type eventTime series action related reportingComponent reportingInstance" EVENT_FIELDS),
    built_in!("" "v1" "namespaces" "Namespace" "ns" "s" "spec status" "status.phase"),
    built_in!("" "v1" "nodes" "Node" "no" "s" "spec status" "spec.unschedulable"),
    built_in!("" "v1" "pods" "Pod" "po" "nsga" "spec status" "spec.nodeName spec.restartPolicy spec.schedulerName spec.serviceAccountName spec.hostNetwork status.phase status.podIP status.nominatedNodeName"),
    built_in!("" "v1" "podtemplates" "PodTemplate" "" "ng" "template" ""),
    built_in!("" "v1" "resourcequotas" "ResourceQuota" "quota" "ns" "spec status" ""),
    built_in!("" "v1" "secrets" "Secret" "" "n" "data stringData immutable type" "type"),
    built_in!("" "v1" "serviceaccounts" "ServiceAccount" "sa" "n" "secrets imagePullSecrets automountServiceAccountToken" ""),
    built_in!("" "v1" "services" "Service" "svc" "nsa" "spec status" ""),
    built_in!("apiextensions.k8s.io" "v1" "customresourcedefinitions" "CustomResourceDefinition" "crd crds" "sg" "spec status" ""),
    built_in!("apps" "v1" "daemonsets" "DaemonSet" "ds" "nsga" "spec status" ""),
    built_in!("apps" "v1" "deployments" "Deployment" "deploy" "nscga" "spec status" ""),
    built_in!("apps" "v1" "replicasets" "ReplicaSet" "rs" "nscga" "spec status" "status.replicas"),
    built_in!("apps" "v1" "statefulsets" "StatefulSet" "sts" "nscga" "spec status" ""),
    built_in!("batch" "v1" "cronjobs" "CronJob" "cj" "nsga" "spec status" ""),
    built_in!("batch" "v1" "jobs" "Job" "" "nsga" "spec status" "status.successful"),
    built_in!("coordination.k8s.io" "v1" "leases" "Lease" "" "n" "spec" ""),
    built_in!("events.k8s.io" "v1" "events" "Event" "ev" "n" "eventTime series reportingController reportingInstance action reason regarding related note type deprecatedSource deprecatedFirstTimestamp deprecatedLastTimestamp deprecatedCount" EVENT_FIELDS),
    built_in!("policy" "v1" "poddisruptionbudgets" "PodDisruptionBudget" "pdb" "nsg" "spec status" ""),
    built_in!("rbac.authorization.k8s.io" "v1" "clusterrolebindings" "ClusterRoleBinding" "" "" "roleRef subjects" ""),
    built_in!("rbac.authorization.k8s.io" "v1" "clusterroles" "ClusterRole" "" "" "rules aggregationRule" ""),
    built_in!("rbac.authorization.k8s.io" "v1" "rolebindings" "RoleBinding" "" "n" "roleRef subjects" ""),
    built_in!("rbac.authorization.k8s.io" "v1" "roles" "Role" "" "n" "rules" ""),
    built_in!("resource.k8s.io" "v1" "resourceslices" "ResourceSlice" "" "g" "spec" "spec.nodeName spec.driver"),
    built_in!("scheduling.k8s.io" "v1" "priorityclasses" "PriorityClass" "pc" "g" "value globalDefault description preemptionPolicy" ""),
];
