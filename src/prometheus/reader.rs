//! A history, read: its questions asked, a few at a time, oldest first; what is too heavy is asked in halves,
//! and what comes after it at once in pieces of that length.

use super::{At, Client, Query, QueryError, Settings};
use crate::{
    history::{Facts, Part, Question, Source, Window, questions, questions_of_nodes},
    promql::{Remark, Series, parse},
    time::Millis,
};
use futures::{FutureExt, StreamExt, future::BoxFuture, stream};
use std::{collections::BTreeMap, sync::Mutex};
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

/// How a history is read.
#[derive(Clone, Copy)]
pub struct Reading<'a> {
    /// Which series.
    pub source: &'a Source,
    /// Of which time.
    pub window: Window,
    /// Span of time one query looks at.
    pub piece: Millis,
    /// Answers that were read before.
    pub store: Option<&'a dyn Store>,
}

/// Asks all questions about a window. `go_on` hears how many are answered of how many, and says whether to go on.
///
/// # Errors
/// See [`ReadError`]. (Boxed, so that callers need not show that it can move between threads.)
pub fn read<'a>(
    client: &'a Client,
    reading: Reading<'a>,
    go_on: &'a (dyn Fn(usize, usize) -> bool + Sync),
) -> BoxFuture<'a, Result<Read, ReadError>> {
    async move {
        let mut asker = Asker { client, reading, longest: Mutex::default() };
        let mut read = (Facts::default(), BTreeMap::new());
        let first = questions(reading.source, reading.window, reading.piece);
        asker.all(&first, &mut read, &|done| go_on(done, first.len())).await?;
        let then = questions_of_nodes(&read.0, reading.window);
        let total = first.len() + then.len();
        asker.all(&then, &mut read, &|done| go_on(first.len() + done, total)).await?;
        Ok(read)
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

struct Asker<'a> {
    client: &'a Client,
    reading: Reading<'a>,
    /// What a server had too much with longer windows of.
    longest: Mutex<BTreeMap<Part, Millis>>,
}

impl Asker<'_> {
    async fn all(
        &mut self,
        questions: &[Question],
        (facts, remarks): &mut Read,
        go_on: &(dyn Fn(usize) -> bool + Sync),
    ) -> Result<(), ReadError> {
        let asker = &*self;
        let each = questions.iter().map(|question| {
            asker.ask(question.clone()).map(move |answer| (question, answer)).boxed()
        });
        let each: Vec<BoxFuture<'_, (&Question, Answered)>> = each.collect();
        let mut answers = stream::iter(each).buffered(Settings::PARALLEL);
        let mut done = 0;
        loop {
            let next = tokio::select! {
                next = answers.next() => next,
                () = stopped(done, go_on) => return Err(ReadError::Interrupted),
            };
            let Some((question, answer)) = next else { return Ok(()) };
            let (series, said) = answer?;
            facts.take(&asker.reading.source.names, question, &series);
            for remark in said {
                *remarks.entry(remark).or_default() += 1;
            }
            done += 1;
        }
    }

    fn ask(&self, question: Question) -> BoxFuture<'_, Answered> {
        async move {
            if self.is_too_long(&question)
                && let Some(halves) = question.halves()
            {
                return self.in_halves(halves).await;
            }
            let text = question.text(self.reading.source);
            let query = Query { text, at: At::Instant(question.window.until) };
            match answers(self.client, &query, self.reading.store).await {
                Err(error) if error.asks_for_less() => {
                    let Some(halves) = question.halves() else {
                        return Err(ReadError::Query { error, text: query.text });
                    };
                    self.was_too_long(&question);
                    self.in_halves(halves).await
                }
                other => other.map_err(|error| ReadError::Query { error, text: query.text }),
            }
        }
        .boxed()
    }

    async fn in_halves(&self, halves: [Question; 2]) -> Answered {
        let (mut series, mut remarks) = (Vec::new(), Vec::new());
        for half in halves {
            let (some, said) = self.ask(half).await?;
            series.extend(some);
            remarks.extend(said);
        }
        Ok((series, remarks))
    }

    fn is_too_long(&self, question: &Question) -> bool {
        let longest = self.longest.lock().ok();
        let longest = longest.and_then(|longest| longest.get(&question.part).copied());
        longest.is_some_and(|longest| question.window.span() > longest)
    }

    fn was_too_long(&self, question: &Question) {
        if let Ok(mut longest) = self.longest.lock() {
            // A half can be a second longer than the other.
            let half = Millis(question.window.span().0 / 2 + 1000);
            let known = longest.entry(question.part).or_insert(half);
            *known = half.min(*known);
        }
    }
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
