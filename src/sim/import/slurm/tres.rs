//! TRES lists of Slurm: `cpu=8,mem=64G,node=2,gres/gpu:a100=4` or, by number, `1=8,2=65536,4=2,1002=4`.
//!
//! All amounts are totals of the job. A list names GPUs twice when their type is known, once with it and
//! once without. A type that is a MIG profile (`1g.10gb`) is a resource of its own, not a model.

use super::super::cell::MOST;
use crate::model::{NVIDIA_GPU, Shape};

/// Most MiB of one job (1 PiB).
const MOST_MIB: f64 = 1_073_741_824.0;

/// What a job asks for in all.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Request {
    pub(super) gpus: u32,
    /// Sorted, without repetitions.
    pub(super) gpu_types: Vec<String>,
    pub(super) cpus: u32,
    pub(super) memory_mib: u32,
    pub(super) nodes: u32,
}

impl Request {
    /// Reads a list; `gpu_id` is the number of `gres/gpu` in lists by number. `None` if an amount that
    /// matters here is none.
    pub(super) fn parse(list: &str, gpu_id: u32) -> Option<Self> {
        let mut request = Self::default();
        let (mut untyped, mut typed) = (0_u32, 0_u32);
        for (name, amount) in list.split(',').filter_map(|entry| entry.trim().split_once('=')) {
            match name {
                "cpu" | "1" => request.cpus = count(amount)?,
                "mem" => request.memory_mib = mebibytes(amount)?,
                "2" => request.memory_mib = mebibytes(&format!("{amount}M"))?,
                "node" | "4" => request.nodes = count(amount)?,
                "gres/gpu" => untyped = count(amount)?,
                _ if name.parse() == Ok(gpu_id) => untyped = count(amount)?,
                _ => {
                    let Some(gpu_type) = name.strip_prefix("gres/gpu:") else { continue };
                    typed = typed.checked_add(count(amount)?).filter(|&sum| sum <= MOST)?;
                    request.gpu_types.push(gpu_type.to_owned());
                }
            }
        }
        request.gpus = if typed > 0 { typed.max(untyped) } else { untyped };
        request.gpu_types.sort_unstable();
        request.gpu_types.dedup();
        Some(request)
    }

    /// Equal workers, one a node, if the GPUs divide evenly; else one.
    pub(super) fn shape(mut self) -> Shape {
        let is_even = self.nodes > 1 && self.gpus.is_multiple_of(self.nodes);
        let workers = if is_even { self.nodes } else { 1 };
        let mut resource = NVIDIA_GPU.to_owned();
        if let [profile] = self.gpu_types.as_slice()
            && is_mig_profile(profile)
        {
            resource = format!("nvidia.com/mig-{profile}");
            self.gpu_types.clear();
        }
        Shape {
            workers,
            cpu_milli: self.cpus.saturating_mul(1000) / workers,
            memory_mib: self.memory_mib / workers,
            resource,
            gpu_models: self.gpu_types,
            ..Shape::whole_gpus(self.gpus / workers)
        }
    }
}

/// `ReqMem`: a total, or with `n` per node and with `c` per CPU (Slurm before 21.08). Empty and `0` ask
/// for none.
pub(super) fn requested_memory(text: &str, request: &Request) -> Option<u32> {
    let (amount, times) = match text.as_bytes().last() {
        None => return Some(0),
        Some(b'n') => (&text[..text.len() - 1], request.nodes.max(1)),
        Some(b'c') => (&text[..text.len() - 1], request.cpus.max(1)),
        Some(_) => (text, 1),
    };
    Some(mebibytes(amount)?.saturating_mul(times))
}

/// `1g.10gb`: slices and memory.
fn is_mig_profile(gpu_type: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    gpu_type.split_once("g.").is_some_and(|(slices, memory)| {
        digits(slices) && memory.strip_suffix("gb").is_some_and(digits)
    })
}

fn count(text: &str) -> Option<u32> {
    text.parse().ok().filter(|&count| count <= MOST)
}

/// `4000M`, `62.50G`, `1T`; without a unit it is MiB. Rounded up.
fn mebibytes(text: &str) -> Option<u32> {
    let (number, per_mib) = match text.as_bytes().last()?.to_ascii_uppercase() {
        b'K' => (&text[..text.len() - 1], 1.0 / 1024.0),
        b'M' => (&text[..text.len() - 1], 1.0),
        b'G' => (&text[..text.len() - 1], 1024.0),
        b'T' => (&text[..text.len() - 1], 1_048_576.0),
        b'P' => (&text[..text.len() - 1], 1_073_741_824.0),
        _ => (text, 1.0),
    };
    let mib = (number.parse::<f64>().ok()? * per_mib).ceil();
    (0.0..=MOST_MIB).contains(&mib).then_some(mib as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn typed_and_untyped_entries_name_the_same_gpus() {
        for list in ["gres/gpu=4,gres/gpu:h100=4", "gres/gpu:h100=4", "gres/gpu:h100=4,gres/gpu=4"]
        {
            let request = Request::parse(list, 1002).unwrap();
            assert_eq!((request.gpus, request.gpu_types), (4, vec!["h100".to_owned()]), "{list}");
        }
    }

    #[test]
    fn neighbours_of_the_gpu_entry_are_not_gpus() {
        let request = Request::parse("gres/gpumem=80G,gres/gpuutil=9,gres/mps=100,1003=5", 1002);
        assert_eq!(request, Some(Request::default()));
        assert_eq!(Request::parse("", 1002), Some(Request::default()));
    }

    #[test]
    fn a_mig_profile_is_a_resource() {
        let shape = Request::parse("gres/gpu:1g.10gb=2", 1002).unwrap().shape();
        assert_eq!(shape.resource, "nvidia.com/mig-1g.10gb");
        assert_eq!((shape.gpus, shape.gpu_models.len()), (2, 0));
    }

    #[test]
    fn memory_has_units_and_may_count_per_node_or_cpu() {
        let request = Request { nodes: 2, cpus: 4, ..Request::default() };
        let cases = [("64G", 65_536), ("1.5G", 1536), ("4000Mc", 16_000), ("4Gn", 8192), ("0", 0)];
        for (text, mib) in cases {
            assert_eq!(requested_memory(text, &request), Some(mib), "{text}");
        }
        assert_eq!(requested_memory("", &request), Some(0));
        assert_eq!(requested_memory("lots", &request), None);
        assert_eq!(Request::parse("mem=-1G", 1002), None);
    }

    #[test]
    fn absurd_counts_are_refused() {
        assert_eq!(Request::parse("gres/gpu=4294967295", 1002), None);
        assert_eq!(Request::parse("gres/gpu=1.5", 1002), None);
    }
}
