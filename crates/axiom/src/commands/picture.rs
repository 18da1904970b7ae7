//! The picture of a comparison: for each tier and arm the share passed before and after, with
//! the interval of the latter. It shows what the table says and nothing else.

use anyhow::Result;
use plotters::{
    coord::Shift,
    prelude::*,
    style::text_anchor::{HPos, Pos, VPos},
};
use serde_json::Value;

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// Pixels: a row, the plot from 0 to 1, and what surrounds it.
const ROW: i32 = 22;
const PLOT: i32 = 420;
const MARGIN: i32 = 24;
/// About the width of a letter.
const LETTER: i32 = 8;
const FONT: (&str, i32) = ("sans-serif", 14);
/// Colours that most people can tell apart (Okabe and Ito 2008).
const COLOURS: [RGBColor; 6] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(230, 159, 0),
    RGBColor(86, 180, 233),
];
const GREY: RGBColor = RGBColor(150, 150, 150);

/// A line of the picture.
enum Row<'a> {
    Tier(&'a str),
    Arm { label: &'a str, colour: RGBColor, before: Share, after: Share },
}

/// A share with its interval.
#[derive(Debug, Clone, Copy)]
struct Share {
    rate: f64,
    low: f64,
    high: f64,
}

impl Share {
    fn read(score: &Value) -> Option<Self> {
        let number = |key: &str| score[key].as_f64();
        let (passed, n) = (number("passed")?, number("n")?);
        let rate = if n > 0.0 { passed / n } else { 0.0 };
        Some(Self { rate, low: number("low")?, high: number("high")? })
    }
}

/// The report of a comparison as an SVG.
pub(super) fn svg(report: &Value) -> Result<String> {
    let rows = rows(report);
    let labels = rows.iter().map(|row| match row {
        Row::Tier(label) | Row::Arm { label, .. } => label.chars().count() as i32,
    });
    let left = 2 * MARGIN + LETTER * labels.max().unwrap_or(0);
    let height = 2 * MARGIN + ROW * (rows.len() as i32 + 2);
    let size = (left + PLOT + 2 * MARGIN, height);
    let mut text = String::new();
    {
        let area =
            SVGBackend::with_string(&mut text, (size.0 as u32, size.1 as u32)).into_drawing_area();
        area.fill(&WHITE)?;
        let bottom = MARGIN + ROW * rows.len() as i32;
        axis(&area, left, bottom)?;
        for (i, row) in rows.iter().enumerate() {
            draw(&area, row, (left, MARGIN + ROW * i as i32 + ROW / 2))?;
        }
        let legend = "held-out share passed: grey before, colour after, with 95 % Wilson intervals";
        area.draw(&Text::new(legend, (MARGIN, bottom + 3 * ROW / 2), FONT.into_font()))?;
        area.present()?;
    }
    Ok(text)
}

/// Each tier with all arms under it.
fn rows(report: &Value) -> Vec<Row<'_>> {
    let arms = report["arms"].as_array().map_or(&[][..], Vec::as_slice);
    let tiers = arms.first().and_then(|arm| arm["after"].as_object());
    let mut rows = Vec::new();
    for tier in tiers.into_iter().flat_map(|tiers| tiers.keys()) {
        rows.push(Row::Tier(tier));
        for (arm, colour) in arms.iter().zip(COLOURS.into_iter().cycle()) {
            let share = |when: &str| Share::read(&arm[when][tier]);
            if let (Some(before), Some(after)) = (share("before"), share("after")) {
                let label = arm["arm"].as_str().unwrap_or_default();
                rows.push(Row::Arm { label, colour, before, after });
            }
        }
    }
    rows
}

/// Where a share lies in the plot that begins at `left`.
fn across(left: i32, share: f64) -> i32 {
    left + (share * f64::from(PLOT)).round() as i32
}

fn axis(area: &Area<'_>, left: i32, bottom: i32) -> Result<()> {
    for tick in [0.0, 0.25, 0.5, 0.75, 1.0] {
        let x = across(left, tick);
        area.draw(&PathElement::new([(x, MARGIN), (x, bottom)], GREY.mix(0.4)))?;
        let style = FONT.into_font().color(&BLACK).pos(Pos::new(HPos::Center, VPos::Top));
        area.draw(&Text::new(format!("{tick}"), (x, bottom + 4), style))?;
    }
    Ok(())
}

fn draw(area: &Area<'_>, row: &Row<'_>, (left, y): (i32, i32)) -> Result<()> {
    let style = FONT.into_font().color(&BLACK).pos(Pos::new(HPos::Left, VPos::Center));
    match row {
        Row::Tier(name) => {
            area.draw(&Text::new(name.to_uppercase(), (MARGIN, y), style))?;
        }
        Row::Arm { label, colour, before, after } => {
            area.draw(&Text::new((*label).to_string(), (MARGIN, y), style))?;
            let ends = [(across(left, after.low), y), (across(left, after.high), y)];
            area.draw(&PathElement::new(ends, colour.stroke_width(2)))?;
            area.draw(&Circle::new((across(left, before.rate), y), 4, GREY.filled()))?;
            area.draw(&Circle::new((across(left, after.rate), y), 5, colour.filled()))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use runlog::FamilyScore;
    use serde_json::json;

    use super::*;

    #[test]
    fn every_arm_has_its_shares_in_every_tier() {
        let arm = |name: &str, passed: u32| {
            let tiers = |passed| json!({ "basic": FamilyScore::new(passed, 40), "hard": FamilyScore::new(0, 40) });
            json!({ "arm": name, "before": tiers(4), "after": tiers(passed) })
        };
        let report = json!({ "arms": [arm("default", 20), arm("a <b> & c", 40)] });
        let svg = svg(&report).unwrap();
        assert!(svg.starts_with("<svg") && svg.trim_end().ends_with("</svg>"), "{svg}");
        assert_eq!(svg.matches("<circle").count(), 8);
        for text in ["BASIC", "HARD", "default", "a &lt;b&gt; &amp; c"] {
            assert!(svg.contains(text), "{text}: {svg}");
        }
        // 20 of 40 lie in the middle of the plot.
        let left = 2 * MARGIN + LETTER * 9;
        assert!(svg.contains(&format!("cx=\"{}\"", left + PLOT / 2)), "{svg}");
        assert!(super::svg(&json!({ "arms": [] })).is_ok());
    }
}
