//! The report as one HTML file: nothing to load, nothing to run, readable in light and dark, on a
//! telephone, on paper, with a keyboard and with a screen reader.

mod figures;
mod tables;

use super::{PolicyPictures, Report, reading};
use maud::{DOCTYPE, Markup, PreEscaped, html};

/// The page. `pictures` may lack policies or be empty; what cannot be drawn is left out and said.
pub fn page(report: &Report, pictures: &[PolicyPictures]) -> String {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (report.scenario) " · Prewarm simulation" }
                style { (PreEscaped(include_str!("page/style.css"))) }
            }
            body {
                a.skip href="#comparison" { "Skip to the comparison" }
                header { (heading(report)) }
                main {
                    (tables::comparison(report))
                    (tables::past(report))
                    (tables::engine(report))
                    (figures::cost(report))
                    (figures::waiting(report, pictures))
                    (figures::over_time(report, pictures))
                    (figures::worst_hours(report, pictures))
                    (figures::causes(report))
                    (tables::settings(report))
                    (tables::rows(report))
                }
                footer {
                    p { "Made by prewarm " (if report.past.is_some() { "backtest" } else { "simulate" }) ". Every figure can be made again from the same \
                        trace, settings and seed (" (report.settings.seed) ")." }
                }
            }
        }
    }
    .into_string()
}

fn heading(report: &Report) -> Markup {
    html! {
        p.kicker { "Prewarm simulation" }
        h1 { (report.scenario) }
        @if let Some(warning) = reading::partial_warning(report) {
            p.warning role="note" { (warning) }
        }
        p.finding {
            (reading::finding(report))
            @if let Some(others) = reading::other_kappas(report) { " " (others) }
        }
        @for caveat in &report.caveats {
            p.warning role="note" { (caveat) }
        }
        dl.facts {
            @for (name, value) in reading::circumstances(report) {
                div { dt { (name) } dd { (value) } }
            }
        }
    }
}

#[cfg(test)]
mod tests;
