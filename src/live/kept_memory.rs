//! The learned part of the controller, kept over restarts in a ConfigMap of our own (gzip). Losing it is
//! harmless: everything in it is learned again.

use super::index::Seeds;
use crate::engine::Memory;
use flate2::{Compression, read::GzDecoder, write::GzEncoder};
use k8s_openapi::{ByteString, api::core::v1::ConfigMap};
use kube::{
    Api, Client,
    api::{ObjectMeta, Patch, PatchParams},
};
use serde::{Deserialize, Serialize};
use std::io::{self, Read, Write};
use thiserror::Error;

/// Name of the ConfigMap.
pub const NAME: &str = "prewarm-memory";
const KEY: &str = "memory.json.gz";
/// A ConfigMap holds at most 1 MiB.
const MOST_BYTES: usize = 900 << 10;
/// Unpacked, a memory is far smaller than this; whatever is larger is not ours.
const MOST_UNPACKED: u64 = 256 << 20;

/// Why a memory was not kept or not restored.
#[derive(Debug, Error)]
pub enum KeepError {
    /// The API.
    #[error("ConfigMap {NAME}: {0}")]
    Api(#[from] kube::Error),
    /// It does not fit.
    #[error("packed it has {0} bytes; a ConfigMap holds {MOST_BYTES}")]
    TooLarge(usize),
    /// Packing or unpacking.
    #[error("packing: {0}")]
    Pack(#[from] io::Error),
    /// As JSON.
    #[error("as JSON: {0}")]
    Json(#[from] serde_json::Error),
}

/// What is kept.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Kept {
    /// Where numbering goes on, and what shape ids stand for.
    pub seeds: Seeds,
    /// As [`Memory::keep`] gives it.
    pub memory: String,
}

/// Keeps it; how many bytes that took.
///
/// # Errors
/// See [`KeepError`].
pub async fn keep(
    client: &Client,
    namespace: &str,
    seeds: Seeds,
    memory: &Memory,
) -> Result<usize, KeepError> {
    let kept = Kept { seeds, memory: memory.keep()? };
    let packed = pack(&serde_json::to_string(&kept)?)?;
    let bytes = packed.len();
    if bytes > MOST_BYTES {
        return Err(KeepError::TooLarge(bytes));
    }
    let map = ConfigMap {
        metadata: ObjectMeta { name: Some(NAME.to_owned()), ..ObjectMeta::default() },
        binary_data: Some([(KEY.to_owned(), ByteString(packed))].into()),
        ..ConfigMap::default()
    };
    let api = Api::<ConfigMap>::namespaced(client.clone(), namespace);
    api.patch(NAME, &PatchParams::apply("prewarm").force(), &Patch::Apply(map)).await?;
    Ok(bytes)
}

/// What was kept; `None` = nothing.
///
/// # Errors
/// See [`KeepError`].
pub async fn read(client: &Client, namespace: &str) -> Result<Option<Kept>, KeepError> {
    let api = Api::<ConfigMap>::namespaced(client.clone(), namespace);
    let Some(map) = api.get_opt(NAME).await? else { return Ok(None) };
    let Some(ByteString(packed)) = map.binary_data.unwrap_or_default().remove(KEY) else {
        return Ok(None);
    };
    Ok(Some(serde_json::from_str(&unpack(&packed)?)?))
}

fn pack(text: &str) -> io::Result<Vec<u8>> {
    let mut packed = GzEncoder::new(Vec::new(), Compression::default());
    packed.write_all(text.as_bytes())?;
    packed.finish()
}

fn unpack(packed: &[u8]) -> io::Result<String> {
    let mut text = String::new();
    GzDecoder::new(packed).take(MOST_UNPACKED).read_to_string(&mut text)?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        engine::{DamagedMemory, Settings},
        model::Pool,
        time::Timestamp,
    };

    #[test]
    fn what_was_packed_is_unpacked_and_recovered_by_name() {
        let settings = Settings::new([Pool::new("a", 8), Pool::new("b", 4)], 20.0);
        let packed = pack(&Memory::new(&settings).keep().unwrap()).unwrap();
        let text = unpack(&packed).unwrap();
        let other = Settings::new([Pool::new("c", 8), Pool::new("b", 4), Pool::new("a", 4)], 20.0);
        let (memory, refused) = Memory::recover(&text, &other, Timestamp::ZERO).unwrap();
        assert!(memory.active(2).is_some());
        assert!(matches!(refused[..], [DamagedMemory::NodeSize { kept: 8, wanted: 4, .. }]));
        assert!(unpack(b"no gzip").is_err());
    }
}
