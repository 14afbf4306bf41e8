use super::{super::invented, *};
use crate::{time::Millis, world::Series};

fn count(text: &str, part: &str) -> usize {
    text.matches(part).count()
}

#[test]
#[ignore = "writes a page to look at: target/report-page.html"]
fn writes_a_page_to_look_at() {
    let report = invented::report();
    let text = page(&report, &invented::pictures(&report, 7488, 51_332));
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/target/report-page.html");
    std::fs::write(path, &text).unwrap();
    println!("{path}: {} bytes\n{}", text.len(), super::super::table(&report));
}

#[test]
fn the_page_loads_nothing_and_runs_nothing() {
    let report = invented::report();
    let text = page(&report, &invented::pictures(&report, 500, 500));
    for forbidden in ["http:", "https:", "<script", "src=", "url(", "@import", "<link", "<img"] {
        assert!(!text.contains(forbidden), "{forbidden}");
    }
}

#[test]
fn every_picture_has_a_title_and_a_description() {
    let report = invented::report();
    let text = page(&report, &invented::pictures(&report, 500, 500));
    let pictures: Vec<&str> = text.split("<svg").skip(1).collect();
    // Three of all policies and two of each policy, each for wide and narrow screens.
    assert_eq!(pictures.len(), 2 * (3 + 2 * report.policies.len()));
    for picture in pictures {
        let picture = picture.split("</svg>").next().unwrap();
        assert!(picture.contains("role=\"img\""));
        for part in ["title", "desc"] {
            let (_, rest) = picture.split_once(&format!("<{part} id=\"")).unwrap();
            let words = rest.split_once('>').unwrap().1.split('<').next().unwrap();
            assert!(words.len() > 15, "{part}: {words}");
        }
    }
}

#[test]
fn ids_are_unique() {
    let report = invented::report();
    let text = page(&report, &invented::pictures(&report, 50, 50));
    let mut ids: Vec<&str> =
        text.split(" id=\"").skip(1).map(|rest| rest.split('"').next().unwrap()).collect();
    let all = ids.len();
    ids.sort_unstable();
    ids.dedup();
    assert!(all > 50 && ids.len() == all);
}

#[test]
fn names_cannot_become_markup() {
    let evil = "<b>&\"'\u{1}";
    let mut report = invented::report();
    let mut pictures = invented::pictures(&report, 50, 50);
    report.scenario = evil.to_owned();
    report.settings.placement = evil.to_owned();
    report.settings.pools[0].name = evil.to_owned();
    report.settings.pools[0].gpu_model = evil.to_owned();
    report.policies[1].name = evil.to_owned();
    pictures[1].name = evil.to_owned();
    let text = page(&report, &pictures);
    assert!(!text.contains("<b>"));
    assert!(text.contains("&lt;b&gt;&amp;"));
}

#[test]
fn no_stand_in_colour_is_left() {
    let report = invented::report();
    let text = page(&report, &invented::pictures(&report, 500, 500));
    assert_eq!(count(&text, "=\"#"), count(&text, "href=\"#"));
    assert!(text.contains("var(--usable-fill)") && text.contains("stroke-dasharray"));
}

#[test]
fn a_hundred_thousand_bins_stay_below_two_megabytes() {
    let report = invented::report();
    let text = page(&report, &invented::pictures(&report, 100_000, 64_000));
    assert!(text.len() < 2_000_000, "{} bytes", text.len());
}

#[test]
fn tables_say_what_their_headings_are_for() {
    let report = invented::report();
    let text = page(&report, &invented::pictures(&report, 50, 50));
    assert_eq!(count(&text, "<th "), count(&text, "<th ").min(count(&text, "scope=\"")));
    assert_eq!(count(&text, "<th>"), 0);
}

#[test]
fn the_reference_is_not_marked_and_the_best_is() {
    let report = invented::report();
    let text = page(&report, &[]);
    let row = text.split("<th scope=\"row\">clairvoyant<wbr></th>").nth(1).unwrap();
    assert!(!row.split("</tr>").next().unwrap().contains("best"));
    assert!(text.contains("class=\"best\""));
}

#[test]
fn a_run_cut_short_is_marked_wherever_its_policy_is_named() {
    let mut report = invented::report();
    let pictures = invented::pictures(&report, 50, 50);
    assert!(!page(&report, &pictures).contains("partial, to"));
    report.partial = true;
    report.policies[3].until_hours = Some(12.0);
    let text = page(&report, &pictures);
    assert!(text.contains("PARTIAL"));
    // Two tables, two pictures over time, and the key of the waits for two sizes of screen.
    assert_eq!(count(&text, "partial, to 12.0 h"), 6);
}

#[test]
fn nothing_read_and_nothing_run_is_still_a_page() {
    let text = page(&invented::empty_report(), &[]);
    assert!(text.contains("No policy was run.") && text.ends_with("</html>"));
}

#[test]
fn degenerate_figures_are_drawn_without_complaint() {
    let mut report = invented::report();
    for policy in &mut report.policies {
        (policy.node_hours, policy.waiting_gpu_hours) = (5.0, 5.0);
    }
    let series = |bin, values: Vec<f32>| Series {
        bin,
        demand_gpus: values.clone(),
        usable_gpus: values.clone(),
        warming_gpus: values.clone(),
        waiting_gpus: values,
    };
    let cases = [
        series(Millis::ZERO, vec![]),
        series(Millis::ZERO, vec![0.0; 3]),
        series(Millis::from_mins(10), vec![0.0]),
        series(Millis::from_mins(10), vec![7.0]),
        series(Millis::from_mins(10), vec![f32::NAN, f32::INFINITY, -1.0]),
        Series { waiting_gpus: vec![1.0; 4], ..series(Millis::from_secs(1), vec![1.0]) },
    ];
    for (at, case) in cases.into_iter().enumerate() {
        let mut pictures = invented::pictures(&report, 0, 0);
        pictures[0].series = case;
        pictures[0].waits_ms = vec![0; at];
        pictures[1].waits_ms = vec![i64::MAX / 2; at];
        let text = page(&report, &pictures);
        assert!(!text.contains("could not be drawn") && !text.contains("NaN"), "case {at}");
    }
    for policy in &mut report.policies {
        (policy.node_hours, policy.waiting_gpu_hours) = (0.0, 0.0);
        policy.waiting_by_cause.clear();
    }
    let text = page(&report, &[]);
    assert!(text.contains("Nothing waited.") && !text.contains("could not be drawn"));
    report.policies[0].node_hours = f64::NAN;
    report.policies[1].waiting_gpu_hours = f64::INFINITY;
    assert!(!page(&report, &[]).contains("could not be drawn"));
}

#[test]
fn what_the_engine_did_has_a_section_of_its_own() {
    let section = "id=\"engine\"";
    assert!(!page(&invented::report(), &[]).contains(section));
    let text = page(&invented::with_engine(), &[]);
    assert_eq!(count(&text, section), 1);
    for told in ["from 36.0 h", "gap closed 40 %", "33.0 spent", "headroom:2nodes", "(1,200 ×)"] {
        assert!(text.contains(told), "{told}");
    }
    let mut evil = invented::with_engine();
    evil.policies.iter_mut().flat_map(|policy| &mut policy.engine).for_each(|pool| {
        pool.active.iter_mut().for_each(|active| active.strategy = "<b>".to_owned());
    });
    assert!(!page(&evil, &[]).contains("<b>"));
}
