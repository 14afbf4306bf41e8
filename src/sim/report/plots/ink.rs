//! What things are drawn with: colours that follow the page, dashes, markers.
//!
//! The drawing library knows fixed colours only. Each ink is drawn in a colour of its own that stands
//! for it, and [`recolour`] replaces that by a CSS variable and adds the dashes.

use plotters::style::RGBColor;

/// First byte of the stand-in colours of fixed inks and of lines that tell policies apart.
const FIXED: u8 = 0x07;
const LINE: u8 = 0x08;
const CAUSE: u8 = 0x09;

/// Colours in the style sheet (`--line-0` ...); every colour has the same contrast to the page.
pub(super) const COLOURS: u8 = 6;
/// Dash patterns, in units of the picture; the first is solid. Their number shares no factor with
/// [`COLOURS`], so that thirty policies look different.
const DASHES: [&str; 5] = ["", "9 4", "2 3", "11 3 2 3", "18 5"];

/// What something is drawn with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ink {
    Text,
    Muted,
    Grid,
    Demand,
    Usable,
    UsableFill,
    WarmingFill,
    Waiting,
    WaitingFill,
    /// Text on a piece of a bar.
    OnBar,
    /// Dashed helper lines.
    Guide,
    /// A policy.
    Line(Look),
    /// A cause of waiting, by its place among all causes.
    Cause(u8),
}

/// How a policy looks: colour, dashes and marker together are unique for the first thirty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Look {
    colour: u8,
    dash: u8,
    /// Which of the five marker shapes.
    pub(super) marker: u8,
}

impl Look {
    /// The look of the policy at this place of the report.
    pub(super) const fn of(place: usize) -> Self {
        Self {
            colour: (place % COLOURS as usize) as u8,
            dash: (place % DASHES.len()) as u8,
            marker: (place % 5) as u8,
        }
    }
}

/// Names of the fixed inks in the style sheet, and whether lines of it are dashed.
const FIXED_INKS: [(Ink, &str, &str); 11] = [
    (Ink::Text, "--text", ""),
    (Ink::Muted, "--muted", ""),
    (Ink::Grid, "--grid", ""),
    (Ink::Demand, "--text", ""),
    (Ink::Usable, "--usable", ""),
    (Ink::UsableFill, "--usable-fill", ""),
    (Ink::WarmingFill, "--warming-fill", ""),
    (Ink::Waiting, "--waiting", ""),
    (Ink::WaitingFill, "--waiting-fill", ""),
    (Ink::OnBar, "--on-bar", ""),
    (Ink::Guide, "--muted", "4 4"),
];

impl Ink {
    /// The colour that stands for this ink while drawing.
    pub(super) fn stand_in(self) -> RGBColor {
        match self {
            Self::Line(look) => RGBColor(LINE, look.colour, look.dash),
            Self::Cause(place) => RGBColor(CAUSE, place, 0),
            fixed => {
                let place = FIXED_INKS.iter().position(|(ink, ..)| *ink == fixed).unwrap_or(0);
                RGBColor(FIXED, place as u8, 0)
            }
        }
    }
}

/// Replaces stand-in colours by CSS variables and dashes.
pub(super) fn recolour(svg: &str) -> String {
    let mut out = String::with_capacity(svg.len());
    let mut rest = svg;
    while let Some(at) = rest.find("=\"#") {
        let (before, colour) = rest.split_at(at);
        out.push_str(before);
        let Some((variable, dashes)) = colour.get(3..9).and_then(style_of) else {
            out.push_str(&colour[..3]);
            rest = &colour[3..];
            continue;
        };
        out.extend(["=\"var(", &variable, ")\""]);
        if before.ends_with("stroke") && !dashes.is_empty() {
            out.extend([" stroke-dasharray=\"", dashes, "\""]);
        }
        rest = colour.get(10..).unwrap_or_default();
    }
    out.push_str(rest);
    out
}

fn style_of(hex: &str) -> Option<(String, &'static str)> {
    let colour = u32::from_str_radix(hex, 16).ok()?;
    let [_, kind, first, second] = colour.to_be_bytes();
    match kind {
        FIXED => FIXED_INKS
            .get(usize::from(first))
            .map(|&(_, variable, dashes)| (variable.to_owned(), dashes)),
        LINE => DASHES.get(usize::from(second)).map(|&dashes| (format!("--line-{first}"), dashes)),
        CAUSE => Some((format!("--cause-{first}"), "")),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stand_ins_become_variables_and_lines_get_their_dashes() {
        let look = Look::of(1);
        let RGBColor(r, g, b) = Ink::Line(look).stand_in();
        let hex = format!("#{r:02X}{g:02X}{b:02X}");
        let svg = format!("<a stroke=\"{hex}\"/><b fill=\"{hex}\"/><c fill=\"#FFFFFF\"/>");
        let expected = "<a stroke=\"var(--line-1)\" stroke-dasharray=\"9 4\"/>\
                        <b fill=\"var(--line-1)\"/><c fill=\"#FFFFFF\"/>";
        assert_eq!(recolour(&svg), expected);
    }

    #[test]
    fn thirty_policies_look_different() {
        for a in 0..30 {
            for b in 0..a {
                assert_ne!(Look::of(a), Look::of(b));
            }
        }
    }

    #[test]
    fn every_fixed_ink_has_a_stand_in_of_its_own() {
        for (at, (ink, ..)) in FIXED_INKS.iter().enumerate() {
            assert_eq!(ink.stand_in(), RGBColor(FIXED, at as u8, 0));
        }
    }
}
