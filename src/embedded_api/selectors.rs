//! Label and field selectors (API concepts, "Labels and Selectors", "Field Selectors").

use super::{
    resources::Resource,
    status::ApiError,
    store::{Key, Pairs, Stored},
};

#[derive(Debug, Clone, PartialEq, Eq)]
enum Test {
    In(Vec<String>),
    NotIn(Vec<String>),
    Exists,
    Absent,
    Above(i64),
    Below(i64),
}

impl Test {
    fn holds(&self, value: Option<&str>) -> bool {
        let number = || value.and_then(|text| text.parse::<i64>().ok());
        match self {
            Self::In(values) => value.is_some_and(|value| values.iter().any(|v| v == value)),
            Self::NotIn(values) => value.is_none_or(|value| values.iter().all(|v| v != value)),
            Self::Exists => value.is_some(),
            Self::Absent => value.is_none(),
            Self::Above(limit) => number().is_some_and(|n| n > *limit),
            Self::Below(limit) => number().is_some_and(|n| n < *limit),
        }
    }
}

/// Which objects a list, watch or deletecollection is about; the default selects all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Selector {
    labels: Vec<(String, Test)>,
    fields: Vec<(String, Test)>,
}

impl Selector {
    /// Reads both selectors; a field the resource does not offer is refused.
    pub(crate) fn parse(resource: &Resource, labels: &str, fields: &str) -> Result<Self, ApiError> {
        let labels = split(labels).map(label_test).collect::<Result<_, _>>()?;
        let fields =
            split(fields).map(|text| field_test(resource, text)).collect::<Result<_, _>>()?;
        Ok(Self { labels, fields })
    }

    pub(crate) fn selects_all(&self) -> bool {
        self.labels.is_empty() && self.fields.is_empty()
    }

    pub(crate) fn matches(&self, key: &Key, stored: &Stored) -> bool {
        let label = |(name, test): &(String, Test)| test.holds(value(&stored.labels, name));
        let field = |(path, test): &(String, Test)| {
            test.holds(Some(match path.as_str() {
                "metadata.name" => &key.1,
                "metadata.namespace" => &key.0,
                path => value(&stored.fields, path).unwrap_or_default(),
            }))
        };
        self.labels.iter().all(label) && self.fields.iter().all(field)
    }
}

fn value<'a>(pairs: &'a Pairs, name: &str) -> Option<&'a str> {
    pairs.get(name).map(String::as_str)
}

/// Splits at commas outside parentheses.
fn split(text: &str) -> impl Iterator<Item = &str> {
    let mut depth = 0;
    let parts = text.split(move |letter| {
        depth += i32::from(letter == '(') - i32::from(letter == ')');
        letter == ',' && depth == 0
    });
    parts.map(str::trim).filter(|part| !part.is_empty())
}

fn label_test(text: &str) -> Result<(String, Test), ApiError> {
    let unable = || ApiError::bad_request(format!("unable to parse requirement: {text:?}"));
    let made = |name: &str, test| Ok((name.trim().to_owned(), test));
    let one = |value: &str| vec![value.trim().to_owned()];
    if let Some(name) = text.strip_prefix('!') {
        return made(name, Test::Absent);
    }
    if let Some((name, value)) = text.split_once("!=") {
        return made(name, Test::NotIn(one(value)));
    }
    if let Some((name, value)) = text.split_once("==").or_else(|| text.split_once('=')) {
        return made(name, Test::In(one(value)));
    }
    if let Some((head, list)) = text.split_once('(') {
        let values = list.strip_suffix(')').ok_or_else(unable)?;
        let values = values.split(',').map(|value| value.trim().to_owned()).collect();
        let (name, operator) = head.trim().rsplit_once(' ').ok_or_else(unable)?;
        return match operator {
            "in" => made(name, Test::In(values)),
            "notin" => made(name, Test::NotIn(values)),
            _ => Err(unable()),
        };
    }
    for (sign, test) in [('>', Test::Above as fn(i64) -> Test), ('<', Test::Below)] {
        if let Some((name, value)) = text.split_once(sign) {
            return made(name, test(value.trim().parse().map_err(|_| unable())?));
        }
    }
    if text.contains(char::is_whitespace) { Err(unable()) } else { made(text, Test::Exists) }
}

fn field_test(resource: &Resource, requirement: &str) -> Result<(String, Test), ApiError> {
    let one = |value: &str| vec![value.to_owned()];
    let (path, test) = if let Some((path, value)) = requirement.split_once("!=") {
        (path, Test::NotIn(one(value)))
    } else if let Some((path, value)) =
        requirement.split_once("==").or_else(|| requirement.split_once('='))
    {
        (path, Test::In(one(value)))
    } else {
        return Err(ApiError::bad_request(format!("invalid field selector: {requirement:?}")));
    };
    let unsupported = || ApiError::bad_request(format!("field label not supported: {path}"));
    Ok((resource.field_path(path).ok_or_else(unsupported)?, test))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_of_label_requirement() {
        let labels: Pairs = [("a", "1"), ("b", "x")].map(|(k, v)| (k.into(), v.into())).into();
        let holds = |text: &str| {
            split(text).all(|part| {
                let (name, test) = label_test(part).unwrap();
                test.holds(value(&labels, &name))
            })
        };
        for text in [
            "",
            "a=1",
            "a==1,b=x",
            "a!=2",
            "c!=1",
            "a in (2, 1)",
            "b notin (y,z)",
            "a",
            "!c",
            "a>0,a<2",
        ] {
            assert!(holds(text), "{text}");
        }
        for text in ["a=2", "a!=1", "b in (y)", "b notin (x,y)", "c", "!a", "a>1", "a=1,b=y"] {
            assert!(!holds(text), "{text}");
        }
        assert!(label_test("a b").is_err() && label_test("a within (b)").is_err());
    }
}
