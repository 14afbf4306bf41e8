//! One write of the fleet.

use kube::{
    Api, Client,
    api::{ApiResource, DeleteParams, DynamicObject, Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};

/// An object's place.
#[derive(Clone, Debug, PartialEq)]
pub struct Place {
    /// Group, version and kind.
    pub resource: ApiResource,
    /// Empty for objects of the whole cluster.
    pub namespace: String,
    /// Name.
    pub name: String,
}

impl Place {
    fn api(&self, client: &Client) -> Api<DynamicObject> {
        if self.namespace.is_empty() {
            Api::all_with(client.clone(), &self.resource)
        } else {
            Api::namespaced_with(client.clone(), &self.namespace, &self.resource)
        }
    }
}

/// One write.
#[derive(Clone, Debug, PartialEq)]
pub enum Act {
    /// Make an object.
    Create(Place, Value),
    /// Merge into an object.
    Merge(Place, Value),
    /// Merge into its status.
    MergeStatus(Place, Value),
    /// Delete it.
    Delete(Place),
    /// Bind a pod (namespace, name) to a node.
    Bind(String, String, String),
}

impl Act {
    /// `namespace/name` of the Machine that it makes, if it makes one.
    pub fn machine_made(&self) -> Option<String> {
        match self {
            Self::Create(place, _) if place.resource.kind == "Machine" => {
                Some(format!("{}/{}", place.namespace, place.name))
            }
            _ => None,
        }
    }

    /// Does it. What is gone or there already is no error.
    ///
    /// # Errors
    /// Of the API.
    pub async fn carry_out(self, client: &Client) -> Result<(), kube::Error> {
        let params = PatchParams::default();
        let done = match self {
            Self::Create(place, body) => {
                let object: DynamicObject =
                    serde_json::from_value(body).map_err(kube::Error::SerdeError)?;
                place.api(client).create(&PostParams::default(), &object).await.map(drop)
            }
            Self::Merge(place, body) => {
                place.api(client).patch(&place.name, &params, &Patch::Merge(body)).await.map(drop)
            }
            Self::MergeStatus(place, status) => {
                let body = json!({ "status": status });
                let api = place.api(client);
                api.patch_status(&place.name, &params, &Patch::Merge(body)).await.map(drop)
            }
            Self::Delete(place) => {
                place.api(client).delete(&place.name, &DeleteParams::default()).await.map(drop)
            }
            Self::Bind(namespace, pod, node) => bind(client, &namespace, &pod, &node).await,
        };
        match done {
            Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => Ok(()),
            other => other,
        }
    }
}

async fn bind(client: &Client, namespace: &str, pod: &str, node: &str) -> Result<(), kube::Error> {
    let body = json!({
        "apiVersion": "v1", "kind": "Binding",
        "metadata": { "name": pod, "namespace": namespace },
        "target": { "apiVersion": "v1", "kind": "Node", "name": node },
    });
    let url = format!("/api/v1/namespaces/{namespace}/pods/{pod}/binding");
    let bytes = serde_json::to_vec(&body).map_err(kube::Error::SerdeError)?;
    let request = axum::http::Request::post(url)
        .header("content-type", "application/json")
        .body(bytes)
        .map_err(kube::Error::HttpError)?;
    client.request::<Value>(request).await.map(drop)
}
