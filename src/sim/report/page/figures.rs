//! The pictures of the page, each with a caption that says how to read it.

use super::{
    super::{
        PolicyPictures, PolicyReport, Report,
        columns::Kappa,
        format,
        plots::{self, Timeline, Window, Words},
        reading,
    },
    tables,
};
use maud::{Markup, PreEscaped, html};

/// Cost against waiting.
pub(super) fn cost(report: &Report) -> Markup {
    if report.policies.is_empty() {
        return html! {};
    }
    let listed: Vec<String> = report
        .policies
        .iter()
        .map(|p| {
            let [nodes, waiting] = [p.node_hours, p.waiting_gpu_hours].map(format::amount);
            format!("{}: {nodes} node-hours, {waiting} waiting GPU-hours", p.name)
        })
        .collect();
    let words = Words {
        id: "cost".to_owned(),
        title: "Cost against waiting".to_owned(),
        desc: format!("A point for each policy. {}.", listed.join("; ")),
    };
    let caption = html! {
        "Left is fewer node-hours, down is less waiting. The blue stair (the Pareto front) joins the \
         policies that no other beats in both: for whatever lies above it or to its right, a policy on \
         the stair does better. "
        @if report.settings.pools.len() == 1 && reading::cheapest(report, Kappa::K20).is_some() {
            "Along the dashed line everything costs as much as the cheapest policy when a waiting \
             GPU-hour is worth 20 GPU-hours. "
        }
        "Clairvoyant knows the future and shows what is possible at all."
    };
    section("Cost against waiting", &plots::frontier(&words, report), &caption)
}

/// Distribution of waiting times.
pub(super) fn waiting(report: &Report, pictures: &[PolicyPictures]) -> Markup {
    let heading = "How long jobs wait";
    if pictures.iter().all(|p| p.waits_ms.is_empty()) {
        return missing(heading, "No job was submitted in the scored window.");
    }
    let listed: Vec<String> = pictures
        .iter()
        .filter(|p| !p.waits_ms.is_empty())
        .map(|p| {
            let share = |ms: i64| {
                let longer = p.waits_ms.len() - p.waits_ms.partition_point(|w| *w <= ms);
                format::percent(longer as f64 / p.waits_ms.len() as f64)
            };
            let (minute, ten) = (share(60_000), share(600_000));
            format!("{}: {minute} longer than 1 min, {ten} longer than 10 min", p.name)
        })
        .collect();
    let words = Words {
        id: "waits".to_owned(),
        title: "Share of jobs that wait longer than a time, by policy".to_owned(),
        desc: format!("{}.", listed.join("; ")),
    };
    let caption = html! {
        "Pick a time on the axis below: the height of a line there is the share of the jobs that \
         waited longer. Lower is better. Equal distances along the axis multiply the time. The key \
         lists the policies in the order of their lines at one minute. A wait longer than the lead \
         time was not over with the first new node: see what waiting was for."
    };
    section(heading, &plots::waits(&words, report, pictures), &caption)
}

/// The whole run, policy by policy.
pub(super) fn over_time(report: &Report, pictures: &[PolicyPictures]) -> Markup {
    let whole = Window::whole(pictures);
    if whole.0.is_empty() {
        return missing("The whole run", "There is nothing to show over time.");
    }
    let drawing = Timeline::new(pictures, whole);
    let grain = pictures.iter().map(|p| drawing.seconds_a_point(&p.series)).fold(0.0, f64::max);
    let caption = html! {
        "Where the dark line of demand rises above the filled area of usable GPUs, jobs wait; filled \
         area above the line stands idle. Each point is the mean of " (format::span(grain))
        " (for waiting: the highest value). All policies have the same scales."
    };
    timelines(report, pictures, &drawing, ("The whole run", "run", &caption))
}

/// The hours with the most waiting under reactive, policy by policy.
pub(super) fn worst_hours(report: &Report, pictures: &[PolicyPictures]) -> Markup {
    let base = pictures.iter().find(|p| p.name == "reactive").or_else(|| pictures.first());
    let window = base.and_then(|base| Some((base, plots::worst_window(&base.series)?)));
    let Some((base, window)) = window else {
        return missing("The worst hours", "Nothing waited, so there are no worst hours.");
    };
    let [from, until] = [window.0.start, window.0.end]
        .map(|bin| base.series.bin.as_hours() * bin as f64)
        .map(clock);
    let drawing = Timeline::new(pictures, window);
    let caption = html! {
        "From " (from) " to " (until) " after the start of the trace: the hours in which most was \
         waited for under " (base.name) ". What comes before demand rises is what a policy provided in \
         advance. All policies have the same scales."
    };
    timelines(report, pictures, &drawing, ("The worst hours", "worst", &caption))
}

fn clock(hours: f64) -> String {
    let minutes = (hours * 60.0).round() as i64;
    format!("day {}, {}:{:02} h", minutes / 1440, minutes / 60 % 24, minutes % 60)
}

fn timelines(
    report: &Report,
    pictures: &[PolicyPictures],
    drawing: &Timeline,
    (heading, id, caption): (&str, &str, &Markup),
) -> Markup {
    let shown = shown(report, pictures);
    let marked = |name: &str| partial(report, name);
    let draw = |at: usize| {
        let picture = &pictures[at];
        let words = Words {
            id: format!("{id}-{at}"),
            title: format!("{heading} under {}", picture.name),
            desc: in_words(report, &picture.name),
        };
        PreEscaped(drawing.draw(&words, &picture.series))
    };
    html! {
        section {
            h2 { (heading) }
            p.note { (caption) }
            @for &at in &shown {
                figure { figcaption { strong { (pictures[at].name) (marked(&pictures[at].name)) } } (draw(at)) }
            }
            @for at in (0..pictures.len()).filter(|at| !shown.contains(at)) {
                details {
                    summary { (pictures[at].name) (marked(&pictures[at].name)) }
                    figure { (draw(at)) }
                }
            }
        }
    }
}

/// A mark behind the name of a policy whose run was cut short.
fn partial(report: &Report, name: &str) -> Markup {
    let policy = report.policies.iter().find(|p| p.name == name);
    html! { @if let Some(until) = policy.and_then(reading::until) { span.partial { " (" (until) ")" } } }
}

/// Those to see at once: reactive and the cheapest; the first if there is neither.
fn shown(report: &Report, pictures: &[PolicyPictures]) -> Vec<usize> {
    let best = reading::cheapest(report, Kappa::K20);
    let names = reading::reactive(report).into_iter().chain(best).map(|p| &p.name);
    let mut shown: Vec<usize> =
        names.filter_map(|name| pictures.iter().position(|p| p.name == *name)).collect();
    shown.dedup();
    if shown.is_empty() && !pictures.is_empty() {
        shown.push(0);
    }
    shown
}

fn in_words(report: &Report, name: &str) -> String {
    let policy: Option<&PolicyReport> = report.policies.iter().find(|p| p.name == name);
    let figures = policy.map_or(String::new(), |p| {
        format!(
            " In the scored window {} node-hours were billed and jobs waited {} on average.",
            format::amount(p.node_hours),
            format::span(p.wait_seconds.mean),
        )
    });
    format!(
        "Above: demand, usable GPUs and GPUs on their way over time. Below: GPUs that waiting jobs \
         ask for.{figures}"
    )
}

/// What waiting was for.
pub(super) fn causes(report: &Report) -> Markup {
    let heading = "What waiting was for";
    let present = plots::causes_present(report);
    if present.is_empty() {
        return missing(heading, "Nothing waited.");
    }
    let words = Words {
        id: "causes".to_owned(),
        title: "Waiting GPU-hours by policy and cause".to_owned(),
        desc: "A bar for each policy, cut into causes; the table below it has the figures."
            .to_owned(),
    };
    let caption = html! {
        "The longer the bar, the more was waited for. "
        @for (at, (_, key)) in present.iter().enumerate() {
            @if at > 0 { "; " }
            strong { (reading::cause(key)) } ": " (reading::cause_meaning(key))
        }
        "."
    };
    html! {
        section {
            h2 { (heading) }
            figure { (PreEscaped(plots::causes(&words, report))) figcaption { (caption) } }
            details {
                summary { "The figures" }
                (tables::causes(report, &present))
            }
        }
    }
}

fn section(heading: &str, picture: &str, caption: &Markup) -> Markup {
    html! {
        section.plate {
            h2 { (heading) }
            figure { (PreEscaped(picture)) figcaption { (caption) } }
        }
    }
}

fn missing(heading: &str, why: &str) -> Markup {
    html! { section { h2 { (heading) } p { (why) } } }
}
