//! Files that are read again when they change: certificates, the policy.
//!
//! They are read every so often and compared with what is in use. No notification of the file system is needed, which mounted
//! ConfigMaps and Secrets would make awkward: there a change is another target of a symbolic link. What cannot be
//! used changes nothing; it is told once, and tried again each time.

use std::{fmt::Display, time::Duration};
use tokio_util::sync::CancellationToken;

/// Files are looked at this often.
pub const EVERY: Duration = Duration::from_secs(10);

/// Looks at files every so often until `stop`. `what` is in them; `look`: `true` = they have changed and are used, `false`
/// = they are as they were. `told`: `true` = what is new is used, `false` = it cannot be.
pub(super) async fn follow<E: Display>(
    what: &'static str,
    every: Duration,
    stop: CancellationToken,
    mut look: impl FnMut() -> Result<bool, E>,
    told: impl Fn(bool),
) {
    let mut last_fault = None;
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(every) => {}
        }
        let found = look().map_err(|error| error.to_string());
        match &found {
            Ok(false) => {}
            Ok(true) => {
                tracing::info!("{what} of the extender: what has changed is used from now on");
                told(true);
            }
            Err(error) if last_fault.as_ref() == Some(error) => {}
            Err(error) => {
                tracing::warn!(%error, "{what} of the extender: what has changed cannot be used, it stays as it was");
                told(false);
            }
        }
        last_fault = found.err();
    }
}
