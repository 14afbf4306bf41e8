//! Leader election with a Lease (`coordination.k8s.io/v1`): one replica acts, the others only serve.
//!
//! [`candidate`] decides; here is the loop that talks to the API server. What comes out is an [`Authority`]
//! that ends by itself: whoever writes asks it right before every write, so that a process that was paused
//! for a minute stops on its own, without a word from this loop.

pub mod candidate;

use crate::time::Millis;
use candidate::{Candidate, Claim, Next, Record, Terms};
use k8s_openapi::{
    api::coordination::v1::{Lease, LeaseSpec},
    apimachinery::pkg::apis::meta::v1::MicroTime,
};
use kube::{
    Api, Client,
    api::{ObjectMeta, PostParams},
};
use std::time::{Duration, Instant};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// One request to the API server gets so long; below the renew interval.
const REQUEST: Duration = Duration::from_millis(2500);

/// The right to act, which ends by itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Authority {
    until: Option<Instant>,
}

impl Authority {
    /// For whoever runs alone (one replica, no election).
    pub fn forever() -> Self {
        Self { until: Instant::now().checked_add(Duration::from_hours(10 * 365 * 24)) }
    }

    /// May this replica write now?
    pub fn holds(&self) -> bool {
        !self.left().is_zero()
    }

    /// For how long still; zero = not at all.
    pub fn left(&self) -> Duration {
        self.until.map_or(Duration::ZERO, |until| until.saturating_duration_since(Instant::now()))
    }
}

/// Where the Lease is and who we are.
#[derive(Clone, Debug)]
pub struct Election {
    /// Namespace of the Lease.
    pub namespace: String,
    /// Its name; one installation, one name.
    pub name: String,
    /// Of this process alone: a pod name and something random.
    pub identity: String,
    /// The terms.
    pub terms: Terms,
}

/// Takes part in the election until `stop`, then hands the Lease over. Every renewal and every loss is sent to
/// `authority`. Stop acting before `stop` is cancelled: afterwards somebody else may act at once.
pub async fn run(
    client: Client,
    election: Election,
    authority: watch::Sender<Authority>,
    stop: CancellationToken,
) {
    let leases = Api::<Lease>::namespaced(client, &election.namespace);
    let zero = Instant::now();
    let mut candidate = Candidate::new(election.identity.clone(), election.terms);
    let round = Round { leases, election, zero };
    loop {
        let turn = tokio::select! {
            () = stop.cancelled() => break,
            turn = round.turn(&mut candidate) => turn,
        };
        publish(&authority, &candidate, zero);
        if let Err(error) = turn {
            tracing::warn!(%error, lease = %round.election.name, "the lease could not be read or written");
        }
    }
    let claim = candidate.release();
    authority.send_replace(Authority::default());
    if let Some(claim) = claim {
        match round.write(&claim, "").await {
            Ok(_) => tracing::info!(lease = %round.election.name, "handed the lease over"),
            Err(error) => tracing::warn!(%error, "the lease was not handed over; it expires"),
        }
    }
}

fn publish(authority: &watch::Sender<Authority>, candidate: &Candidate, zero: Instant) {
    let now = monotonic(zero);
    let until = candidate
        .acts_until()
        .filter(|&until| now < until)
        .and_then(|until| zero.checked_add(Duration::from_millis(until.0.max(0).unsigned_abs())));
    authority.send_if_modified(|current| {
        let next = Authority { until };
        if current.until.is_some() != until.is_some() {
            tracing::info!(leads = until.is_some(), "leadership changed");
        }
        std::mem::replace(current, next) != next
    });
}

fn monotonic(zero: Instant) -> Millis {
    Millis(i64::try_from(zero.elapsed().as_millis()).unwrap_or(i64::MAX))
}

/// The way to the Lease.
struct Round {
    leases: Api<Lease>,
    election: Election,
    zero: Instant,
}

impl Round {
    /// One step of the candidate and what came of it.
    async fn turn(&self, candidate: &mut Candidate) -> Result<(), LeaseError> {
        match candidate.step(monotonic(self.zero)) {
            Next::Wait(span) => {
                // Never past the end of the authority, so that its end is published in time.
                let now = monotonic(self.zero);
                let end = candidate.acts_until().filter(|&end| end > now).map(|end| end - now);
                let span = end.map_or(span, |end| span.min(end));
                tokio::time::sleep(Duration::from_millis(span.0.max(1).unsigned_abs())).await;
                Ok(())
            }
            Next::Read => {
                let read = self.read().await;
                let now = monotonic(self.zero);
                match read {
                    Ok(record) => candidate.observe(now, record),
                    Err(error) => {
                        candidate.failed(now);
                        return Err(error);
                    }
                }
                Ok(())
            }
            Next::Write(claim) => {
                let sent = monotonic(self.zero);
                let identity = self.election.identity.clone();
                let written = self.write(&claim, &identity).await;
                let now = monotonic(self.zero);
                match written {
                    Ok(record) => candidate.accepted(sent, now, record),
                    Err(LeaseError::Conflict) => candidate.conflicted(),
                    Err(error) => {
                        candidate.failed(now);
                        return Err(error);
                    }
                }
                Ok(())
            }
        }
    }

    async fn read(&self) -> Result<Option<Record>, LeaseError> {
        let lease = in_time(self.leases.get_opt(&self.election.name)).await?;
        Ok(lease.map(record))
    }

    async fn write(&self, claim: &Claim, holder: &str) -> Result<Record, LeaseError> {
        let lease = self.lease(claim, holder);
        let post =
            PostParams { field_manager: Some("prewarm".to_owned()), ..PostParams::default() };
        let written = match claim.version {
            None => in_time(self.leases.create(&post, &lease)).await?,
            Some(_) => in_time(self.leases.replace(&self.election.name, &post, &lease)).await?,
        };
        Ok(record(written))
    }

    fn lease(&self, claim: &Claim, holder: &str) -> Lease {
        let now = jiff::Timestamp::now();
        let acquired = claim.acquired.and_then(|at| jiff::Timestamp::from_microsecond(at).ok());
        // Released: whoever looks may have it after a second, as client-go does.
        let seconds = if holder.is_empty() { 1 } else { self.election.terms.duration.0 / 1000 };
        Lease {
            metadata: ObjectMeta {
                name: Some(self.election.name.clone()),
                namespace: Some(self.election.namespace.clone()),
                resource_version: claim.version.clone(),
                ..ObjectMeta::default()
            },
            spec: Some(LeaseSpec {
                holder_identity: Some(holder.to_owned()),
                lease_duration_seconds: Some(seconds as i32),
                acquire_time: Some(MicroTime(acquired.unwrap_or(now))),
                renew_time: Some(MicroTime(now)),
                lease_transitions: Some(claim.transitions),
                ..LeaseSpec::default()
            }),
        }
    }
}

fn record(lease: Lease) -> Record {
    let spec = lease.spec.unwrap_or_default();
    Record {
        version: lease.metadata.resource_version.unwrap_or_default(),
        holder: spec.holder_identity.unwrap_or_default(),
        acquired: spec.acquire_time.map(|at| at.0.as_microsecond()),
        renewed: spec.renew_time.map(|at| at.0.as_microsecond()),
        transitions: spec.lease_transitions.unwrap_or(0),
    }
}

/// Why the Lease could not be read or written.
#[derive(Debug, thiserror::Error)]
enum LeaseError {
    #[error("somebody else wrote first")]
    Conflict,
    #[error("no answer within {} ms", REQUEST.as_millis())]
    TimedOut,
    #[error(
        "the API server refuses: {0} (the service account needs get, create and update on leases)"
    )]
    Forbidden(String),
    #[error(transparent)]
    Kube(kube::Error),
}

async fn in_time<T>(
    request: impl Future<Output = Result<T, kube::Error>>,
) -> Result<T, LeaseError> {
    let answer = tokio::time::timeout(REQUEST, request).await.map_err(|_| LeaseError::TimedOut)?;
    answer.map_err(|error| match error {
        kube::Error::Api(status) if status.code == 409 => LeaseError::Conflict,
        kube::Error::Api(status) if status.code == 403 => LeaseError::Forbidden(status.message),
        other => LeaseError::Kube(other),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::live::mock_api::{MockApi, failure};
    use serde_json::{Value, json};

    fn lease(version: &str) -> (u16, Value) {
        let spec = json!({
            "holderIdentity": "pod-a", "leaseDurationSeconds": 12, "leaseTransitions": 0,
            "acquireTime": "2026-11-21T07:07:57.185923Z", "renewTime": "2026-11-21T07:07:57.185953Z",
        });
        let metadata = json!({"name": "prewarm", "namespace": "demo", "resourceVersion": version});
        let body = json!({
            "apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": metadata, "spec": spec,
        });
        (200, body)
    }

    fn election() -> Election {
        Election {
            namespace: "demo".to_owned(),
            name: "prewarm".to_owned(),
            identity: "pod-a".to_owned(),
            terms: Terms::default(),
        }
    }

    #[tokio::test]
    async fn a_lease_is_made_and_handed_over_at_the_end() {
        let api = MockApi::serve(|line, _| {
            if line.starts_with("GET") {
                failure(404, "NotFound", "not found")
            } else {
                lease("322")
            }
        })
        .await;
        let (sender, mut authority) = watch::channel(Authority::default());
        let stop = CancellationToken::new();
        let client = api.clients.management.clone();
        let task = tokio::spawn(run(client, election(), sender, stop.clone()));
        authority.changed().await.unwrap();
        assert!(authority.borrow().holds());
        assert!(authority.borrow().left() <= Duration::from_secs(8));
        stop.cancel();
        task.await.unwrap();
        assert!(!authority.borrow().holds());
        let asked = api.asked();
        let methods: Vec<&str> =
            asked.iter().map(|asked| asked.line.split(' ').next().unwrap()).collect();
        assert_eq!(methods, ["GET", "POST", "PUT"]);
        let (made, released) = (&asked[1].body, &asked[2].body);
        assert_eq!(made["spec"]["holderIdentity"], "pod-a");
        // MicroTime without a fraction is refused (422), and so is a PUT without a version.
        let renewed = made["spec"]["renewTime"].as_str().unwrap();
        assert_eq!(renewed.len(), "2026-11-21T07:07:57.185953Z".len(), "{renewed}");
        assert_eq!(released["metadata"]["resourceVersion"], "322");
        assert_eq!(released["spec"]["holderIdentity"], "");
    }

    #[tokio::test]
    async fn nobody_acts_without_an_answer() {
        let api = MockApi::serve(|_, _| failure(403, "Forbidden", "cannot get leases")).await;
        let (sender, authority) = watch::channel(Authority::default());
        let stop = CancellationToken::new();
        let client = api.clients.management.clone();
        let task = tokio::spawn(run(client, election(), sender, stop.clone()));
        tokio::time::sleep(Duration::from_millis(700)).await;
        stop.cancel();
        task.await.unwrap();
        assert!(!authority.borrow().holds());
        assert!(api.asked().iter().all(|asked| asked.line.starts_with("GET")));
    }
}
