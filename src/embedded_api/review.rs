//! `SelfSubjectAccessReview`: what may I do? (authorization.k8s.io/v1).

use super::{
    Api,
    http::Reply,
    request::{Call, Target, Verb},
    status::ApiError,
};
use serde_json::{Value, json};

/// Answers a review, `None` for every other request.
pub(crate) fn answer(api: &Api, call: &Call) -> Result<Option<Reply>, ApiError> {
    let target = &call.target;
    let is_review = target.group == "authorization.k8s.io"
        && target.plural == "selfsubjectaccessreviews"
        && call.verb == Verb::Create;
    if !is_review {
        return Ok(None);
    }
    let review: Value = serde_json::from_slice(&call.body)
        .map_err(|error| ApiError::bad_request(format!("json parse error: {error}")))?;
    let asked = &review["spec"]["resourceAttributes"];
    let text = |field: &str| asked[field].as_str().unwrap_or_default().to_owned();
    let filled = |field: &str| Some(text(field)).filter(|text| !text.is_empty());
    let about = Target {
        group: text("group"),
        version: text("version"),
        namespace: filled("namespace"),
        plural: text("resource"),
        name: filled("name"),
        subresource: filled("subresource"),
    };
    let allowed =
        verb(&text("verb")).is_none_or(|verb| api.auth.check(&call.user, verb, &about).is_ok());
    let answer = json!({"kind": "SelfSubjectAccessReview", "apiVersion": "authorization.k8s.io/v1",
        "metadata": {}, "spec": review["spec"], "status": {"allowed": allowed}});
    Ok(Some(Reply::json(201, answer)))
}

fn verb(name: &str) -> Option<Verb> {
    use Verb::{Create, Delete, DeleteCollection, Get, List, Patch, Update, Watch};
    let all = [Get, List, Watch, Create, Update, Patch, Delete, DeleteCollection];
    all.into_iter().find(|verb| verb.name() == name)
}
