//! A history, read: its questions asked, a few at a time, oldest first; what is too heavy is asked in halves.

use super::{At, Client, Query, QueryError, Settings};
use crate::{
    history::{Facts, Question, Source},
    promql::{Remark, Series, parse},
};
use futures::{FutureExt, StreamExt, future::BoxFuture, stream};
use std::collections::BTreeMap;
use thiserror::Error;

/// Answers that were read before, by question. What a store cannot give or take is as if it had none.
pub trait Store: Sync {
    /// The bytes of an answer.
    fn get(&self, key: &str) -> Option<Vec<u8>>;
    /// Takes the bytes of an answer.
    fn put(&self, key: &str, bytes: &[u8]);
}

/// Why a history was not read to its end.
#[derive(Debug, Error)]
pub enum ReadError {
    /// A query has no answer.
    #[error("{error}\n  query: {text}")]
    Query {
        /// Why.
        error: QueryError,
        /// Which.
        text: String,
    },
    /// The user wants no more.
    #[error("interrupted")]
    Interrupted,
}

/// What was read, and the remarks of the server by how often each was made.
pub type Read = (Facts, BTreeMap<Remark, u64>);

/// Asks all questions. `go_on` hears how many are answered and says whether to go on.
///
/// # Errors
/// See [`ReadError`]. (Boxed, so that callers need not show that it can move between threads.)
pub fn read<'a>(
    client: &'a Client,
    source: &'a Source,
    questions: &'a [Question],
    store: Option<&'a dyn Store>,
    go_on: &'a (dyn Fn(usize) -> bool + Sync),
) -> BoxFuture<'a, Result<Read, ReadError>> {
    async move {
        let mut facts = Facts::default();
        let mut remarks: BTreeMap<Remark, u64> = BTreeMap::new();
        let asked = questions.iter().map(|&question| {
            let answer = ask(client, source, question, store);
            answer.map(move |answer| (question, answer)).boxed()
        });
        let asked: Vec<BoxFuture<'_, (Question, Answered)>> = asked.collect();
        let mut answers = stream::iter(asked).buffered(Settings::PARALLEL);
        let mut done = 0;
        loop {
            let next = tokio::select! {
                next = answers.next() => next,
                () = stopped(done, go_on) => return Err(ReadError::Interrupted),
            };
            let Some((question, answer)) = next else { return Ok((facts, remarks)) };
            let (series, said) = answer?;
            facts.take(&source.names, &question, &series);
            for remark in said {
                *remarks.entry(remark).or_default() += 1;
            }
            done += 1;
        }
    }
    .boxed()
}

/// Ends when the user wants no more.
async fn stopped(done: usize, go_on: &(dyn Fn(usize) -> bool + Sync)) {
    while go_on(done) {
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}

type Answered = Result<(Vec<Series>, Vec<Remark>), ReadError>;

fn ask<'a>(
    client: &'a Client,
    source: &'a Source,
    question: Question,
    store: Option<&'a dyn Store>,
) -> BoxFuture<'a, Answered> {
    async move {
        let query = Query { text: question.text(source), at: At::Instant(question.window.until) };
        match answers(client, &query, store).await {
            Err(error) if error.asks_for_less() => {
                let Some(halves) = question.halves() else {
                    return Err(ReadError::Query { error, text: query.text });
                };
                let (mut series, mut remarks) = (Vec::new(), Vec::new());
                for half in halves {
                    let (some, said) = ask(client, source, half, store).await?;
                    series.extend(some);
                    remarks.extend(said);
                }
                Ok((series, remarks))
            }
            other => other.map_err(|error| ReadError::Query { error, text: query.text }),
        }
    }
    .boxed()
}

/// The series of an answer, from the store if it has them. What came with doubts is not stored.
pub async fn answers(
    client: &Client,
    query: &Query,
    store: Option<&dyn Store>,
) -> Result<(Vec<Series>, Vec<Remark>), QueryError> {
    let key = format!("{} {} {:?} {}", client.url(), client.tenant(), query.at, query.text);
    let kept = store.and_then(|store| parse(&store.get(&key)?).ok());
    if let Some(answer) = kept {
        return Ok((answer.data.into_series(), answer.remarks));
    }
    let bytes = client.fetch(query).await?;
    let answer = parse(&bytes)?;
    if let Some(store) = store.filter(|_| !answer.remarks.iter().any(Remark::is_doubt)) {
        store.put(&key, &bytes);
    }
    Ok((answer.data.into_series(), answer.remarks))
}
