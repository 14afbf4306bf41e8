//! The formats that can be read: their names, their readers, and how each is told from the others.
//!
//! A new format is one line of `formats!`. The order matters: the first one whose sign is seen is
//! taken, so narrow signs stand before wide ones.

use super::error::ImportError;
use super::sniff::{Head, Sign};
use super::{
    ReadRows, acme, alibaba_dlrm, alibaba_openb, alibaba_spot_gpu, helios, jobs, pai, philly_csv,
    philly_json,
    requests::{azure_llm, burstgpt, mooncake, servegen},
    series, slurm,
};
use std::{fmt, str::FromStr};
use thiserror::Error;

/// Declares [`Format`] and its table: `Variant "name" reader sign "what it is"`.
macro_rules! formats {
    ($($variant:ident $name:literal $read:path, $sign:expr, $about:literal;)+) => {
        /// A format of a trace.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Format {
            $(#[doc = $about] $variant,)+
        }

        impl Format {
            /// Every format, in the order in which they are tried.
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            /// The name users write.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }

            /// One line about it, for help texts.
            pub const fn about(self) -> &'static str {
                match self { $(Self::$variant => $about,)+ }
            }

            pub(super) const fn reader(self) -> ReadRows {
                match self { $(Self::$variant => $read,)+ }
            }

            const fn sign(self) -> Sign {
                match self { $(Self::$variant => $sign,)+ }
            }
        }
    };
}

formats! {
    Jobs "jobs" jobs::read, Sign::Columns(&["submit_s", "duration_s", "gpus"]),
        "the common form: `submit_s`, `duration_s`, `gpus` and optional columns";
    AlibabaOpenb "alibaba-openb" alibaba_openb::read, Sign::Columns(alibaba_openb::SIGN),
        "Alibaba GPU v2023 pod list (openb)";
    AlibabaDlrm "alibaba-dlrm" alibaba_dlrm::read, Sign::Columns(alibaba_dlrm::SIGN),
        "Alibaba GPU v2025, disaggregated DLRM instances";
    AlibabaSpotGpu "alibaba-spot-gpu" alibaba_spot_gpu::read, Sign::Columns(alibaba_spot_gpu::SIGN),
        "Alibaba GPU v2026, spot and high-priority jobs";
    PhillyJson "philly-json" philly_json::read, Sign::Head(|head| head.first_line().starts_with('[')),
        "Microsoft Philly `cluster_job_log` (JSON)";
    PhillyCsv "philly-csv" philly_csv::read,
        Sign::Columns(&["timestamp", "duration", "num_gpus", "gpu_time", "cluster"]),
        "Philly as a table of jobs";
    Acme "acme" acme::read, Sign::Columns(&["job_id", "gpu_num", "submit_time", "gpu_time"]),
        "Shanghai AI Lab Acme (`trace_seren.csv`, `trace_kalos.csv`)";
    Helios "helios" helios::read, Sign::Columns(&["job_id", "vc", "gpu_num", "submit_time", "state"]),
        "`SenseTime` Helios `cluster_log.csv`";
    Slurm "slurm" slurm::read, Sign::Head(slurm::looks_like),
        "Slurm accounting: `sacct -P`, or the table of MIT Supercloud";
    AlibabaPai "alibaba-pai-2020" pai::read, Sign::Head(pai::looks_like),
        "Alibaba PAI 2020 `pai_task_table` (without header)";
    AzureLlm "azure-llm" azure_llm::read,
        Sign::Columns(&["TIMESTAMP", "ContextTokens", "GeneratedTokens"]),
        "Azure LLM inference requests, turned into replicas";
    BurstGpt "burstgpt" burstgpt::read, Sign::Columns(&["Timestamp", "Model", "Total tokens"]),
        "`BurstGPT` requests, turned into replicas";
    Mooncake "mooncake" mooncake::read, Sign::Head(|head| head.first_line().starts_with('{')),
        "Mooncake requests (JSON lines), turned into replicas";
    ServeGen "servegen" servegen::read, Sign::Head(servegen::looks_like),
        "`ServeGen` rates (without header), turned into replicas";
    Series "series" series::read, Sign::Head(series::looks_like),
        "GPUs in demand over time, per pool";
}

impl Format {
    /// The format whose sign the head of a file bears.
    pub(super) fn detect(file: &str, head: &Head<'_>) -> Result<Self, ImportError> {
        if head.is_blank() {
            return Err(ImportError::File {
                file: file.to_owned(),
                problem: "the file is empty".to_owned(),
                remedy: "give a trace with at least a header line".to_owned(),
            });
        }
        Self::ALL.iter().copied().find(|format| format.sign().is_seen(head)).ok_or_else(|| {
            ImportError::File {
                file: file.to_owned(),
                problem: format!("the format is not known from its start `{}`", head.quoted()),
                remedy: format!("name the format with --format, one of {}", names()),
            }
        })
    }
}

/// All names, for messages and help.
pub fn names() -> String {
    Format::ALL.iter().map(|format| format.name()).collect::<Vec<_>>().join(", ")
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A name that no format has.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("no format `{found}`{hint}; there are {}", names())]
pub struct UnknownFormat {
    found: String,
    hint: String,
}

impl FromStr for Format {
    type Err = UnknownFormat;

    fn from_str(text: &str) -> Result<Self, UnknownFormat> {
        Self::ALL.iter().copied().find(|format| format.name() == text).ok_or_else(|| {
            let hint = crate::config::closest(text, Self::ALL.iter().map(|format| format.name()))
                .map_or_else(String::new, |near| format!(" (did you mean `{near}`?)"));
            UnknownFormat { found: text.to_owned(), hint }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn detected(text: &str) -> Result<Format, ImportError> {
        Format::detect("x.csv", &Head::new(text.as_bytes()))
    }

    #[test]
    fn names_are_unique_and_read_back() {
        for &format in Format::ALL {
            assert_eq!(format.name().parse(), Ok(format));
            assert_eq!(format.to_string(), format.name());
        }
    }

    #[test]
    fn a_misspelt_name_gets_a_hint() {
        let error = "job".parse::<Format>().unwrap_err().to_string();
        assert!(error.starts_with("no format `job` (did you mean `jobs`?); there are jobs, "));
    }

    #[test]
    fn headers_tell_the_format_whatever_the_order_of_the_columns() {
        let headers = [
            ("gpus,kind,duration_s,submit_s\n", Format::Jobs),
            ("\u{feff}\"submit_s\",\"duration_s\",\"gpus\"\r\n", Format::Jobs),
            (
                "name,cpu_milli,memory_mib,num_gpu,gpu_milli,gpu_spec,qos,pod_phase,creation_time,deletion_time,scheduled_time\n",
                Format::AlibabaOpenb,
            ),
            (
                "instance_sn,role,app_name,gpu_request,creation_time,scheduled_time,deletion_time\n",
                Format::AlibabaDlrm,
            ),
            (
                "job_name,organization,gpu_model,cpu_request,gpu_request,worker_num,submit_time,duration,job_type\n",
                Format::AlibabaSpotGpu,
            ),
            ("t_s,A10,H800,submit_jobs\n", Format::Series),
            ("time,pool,demand_gpus\n", Format::Series),
            (
                "t_s,vc,total_gpujob_num,running_gpujob_num,pending_gpujob_num,total_gpu_num,running_gpu_num,pending_gpu_num\n",
                Format::Series,
            ),
        ];
        for (header, format) in headers {
            assert_eq!(detected(header).unwrap(), format, "{header}");
        }
    }

    #[test]
    fn an_unknown_header_lists_the_formats() {
        let error = detected("colour,taste\n1,2\n").unwrap_err().to_string();
        assert!(error.starts_with("x.csv: the format is not known from its start `colour,taste`"));
        assert!(error.contains("one of jobs, "), "{error}");
        assert!(detected("\n \n").unwrap_err().to_string().contains("the file is empty"));
    }
}
