//! The drawing of a scenario's runs: how long deliveries took, and how many there were when.

use crate::histogram::Histogram;
use crate::metric::{show, Unit};
use crate::report::svg::{styles, Anchor, Axis, Style, Svg};
use crate::timeline::Course;

const WIDTH: f64 = 900.0;
const LEFT: f64 = 76.0;
const RIGHT: f64 = WIDTH - 30.0;
const PANEL_HEIGHT: f64 = 230.0;
/// From one panel's bottom to the next one's top: axis, its title, the next heading.
const PANEL_GAP: f64 = 92.0;
const LEGEND_ROW: f64 = 20.0;

/// Shares of the deliveries that are marked, and how far up they are: as many nines, so far.
const SHARES: [(&str, f64); 6] = [
    ("0 %", 0.0),
    ("50 %", 0.5),
    ("90 %", 0.9),
    ("99 %", 0.99),
    ("99.9 %", 0.999),
    ("99.99 %", 0.9999),
];
/// The top of that axis, in nines.
const NINES_MAX: f64 = 4.4;
/// The most spans that a course is drawn with.
const SPANS_MAX: usize = 180;
/// An axis is logarithmic when the greatest value is at least this many times the least.
const LOG_FROM: f64 = 25.0;
/// How far down a logarithmic axis of rates goes.
const RATE_SHARE_MIN: f64 = 1e-4;

/// What is drawn of one subject.
pub(crate) struct Plotted<'a> {
    pub(crate) name: &'a str,
    /// All of its runs together; `None` if nothing was timed.
    pub(crate) latency: Option<&'a Histogram>,
    /// One of its runs.
    pub(crate) course: Option<&'a Course>,
}

/// Draws subjects beside each other. `below` says with what parameters, when, on what.
pub(crate) fn draw(title: &str, below: &[String], subjects: &[Plotted<'_>]) -> String {
    let names: Vec<&str> = subjects.iter().map(|subject| subject.name).collect();
    let styles = styles(&names);
    let legend_rows = legend(&names).len() as f64;
    let top = 58.0 + below.len() as f64 * 16.0 + legend_rows * LEGEND_ROW + 34.0;
    let height = top + 2.0 * PANEL_HEIGHT + PANEL_GAP + 62.0;
    let mut svg = Svg::new(WIDTH, height);
    svg.text((28.0, 38.0), Anchor::Start, "title", title);
    for (at, line) in below.iter().enumerate() {
        svg.text((28.0, 58.0 + at as f64 * 16.0), Anchor::Start, "small", line);
    }
    let legend_at = 64.0 + below.len() as f64 * 16.0;
    for (row, entries) in legend(&names).iter().enumerate() {
        let y = legend_at + row as f64 * LEGEND_ROW;
        for (x, index) in entries {
            svg.curve(&[(*x, y), (*x + 24.0, y)], styles[*index], names[*index]);
            svg.text((*x + 31.0, y + 4.0), Anchor::Start, "", names[*index]);
        }
    }
    draw_latency(&mut svg, top, subjects, &styles);
    draw_course(&mut svg, top + PANEL_HEIGHT + PANEL_GAP, subjects, &styles);
    svg.finish(&format!("{title}: {}", names.join(", ")))
}

/// Rows of positions and subjects.
fn legend(names: &[&str]) -> Vec<Vec<(f64, usize)>> {
    let mut rows = vec![Vec::new()];
    let mut x = 28.0;
    for (index, name) in names.iter().enumerate() {
        let width = 52.0 + name.chars().count() as f64 * 7.0;
        if x + width > RIGHT {
            rows.push(Vec::new());
            x = 28.0;
        }
        // There is a last row from the beginning on.
        if let Some(row) = rows.last_mut() {
            row.push((x, index));
        }
        x += width;
    }
    rows
}

fn draw_latency(svg: &mut Svg, top: f64, subjects: &[Plotted<'_>], styles: &[Style]) {
    let heading =
        "Latency, from publish to receive: share of the deliveries that took at most this long";
    svg.text((LEFT - 48.0, top - 16.0), Anchor::Start, "head", heading);
    let mut timed: Vec<(&Histogram, Style, &str)> = subjects
        .iter()
        .zip(styles)
        .filter_map(|(subject, style)| Some((subject.latency?, *style, subject.name)))
        .collect();
    timed.sort_by_key(|(.., name)| *name == "fanfare");
    let bottom = top + PANEL_HEIGHT;
    let y = Axis { from: 0.0, to: NINES_MAX, drawn: (bottom, top), is_log: false };
    let greatest = timed.iter().map(|(latency, ..)| latency.max_ns()).max().unwrap_or(1_000_000);
    let least = timed.iter().map(|(latency, ..)| latency.percentile_ns(2.0)).min().unwrap_or(1_000);
    let x = Axis {
        from: round_below(least.max(1) as f64),
        to: round_above(greatest.max(2) as f64),
        drawn: (LEFT, RIGHT),
        is_log: true,
    };
    for (label, share) in SHARES {
        let at = y.place(nines(share));
        svg.line((LEFT, at), (RIGHT, at), "grid");
        svg.text((LEFT - 8.0, at + 4.0), Anchor::End, "", label);
    }
    draw_x(svg, &x, top, bottom, Unit::Nanoseconds, "time from publish to receive, logarithmic");
    for (latency, style, name) in timed {
        let place = |value_ns: u64, share: f64| (x.place(value_ns as f64), y.place(nines(share)));
        let total = latency.total().max(1) as f64;
        let points: Vec<(f64, f64)> = latency
            .curve()
            .into_iter()
            .map(|(value_ns, seen)| place(value_ns, seen as f64 / total))
            .collect();
        svg.curve(&points, style, name);
        svg.dot(place(latency.percentile_ns(99.0), 0.99), style);
    }
}

fn draw_course(svg: &mut Svg, top: f64, subjects: &[Plotted<'_>], styles: &[Style]) {
    let mut courses: Vec<(Course, Style, &str)> = subjects
        .iter()
        .zip(styles)
        .filter_map(|(subject, style)| Some((thinned(subject.course?), *style, subject.name)))
        .filter(|(course, ..)| !course.counts.is_empty())
        .collect();
    courses.sort_by_key(|(.., name)| *name == "fanfare");
    let bottom = top + PANEL_HEIGHT;
    let span_ns = courses.iter().map(|(course, ..)| course.width_ns).max().unwrap_or(0);
    let heading = format!(
        "Deliveries per second, counted over up to {}, in the run of median throughput",
        tick(Unit::Nanoseconds, span_ns as f64)
    );
    svg.text((LEFT - 48.0, top - 16.0), Anchor::Start, "head", &heading);
    let peaks = courses.iter().map(|(course, ..)| peak(course));
    let (least, greatest) = least_and_greatest(peaks);
    let y_is_log = greatest > least * LOG_FROM;
    let y = if y_is_log {
        let from = round_below((least / 10.0).max(greatest * RATE_SHARE_MIN));
        Axis { from, to: round_above(greatest), drawn: (bottom, top), is_log: true }
    } else {
        Axis { from: 0.0, to: greatest * 1.05, drawn: (bottom, top), is_log: false }
    };
    let (shortest, longest) = least_and_greatest(courses.iter().map(|(course, ..)| end(course)));
    let x_is_log = longest > shortest * LOG_FROM;
    // What comes within the first span cannot be told apart.
    let span_ns = courses.iter().map(|(course, ..)| course.width_ns).min().unwrap_or(1);
    let from = if x_is_log { (span_ns as f64).min(shortest / 2.0) } else { 0.0 };
    let x = Axis { from, to: longest, drawn: (LEFT, RIGHT), is_log: x_is_log };
    for value in y.ticks() {
        let at = y.place(value);
        svg.line((LEFT, at), (RIGHT, at), "grid");
        svg.text((LEFT - 8.0, at + 4.0), Anchor::End, "", &tick(Unit::Count, value));
    }
    let scale = |is_log| if is_log { ", logarithmic" } else { "" };
    let title = format!("time since the first event was published{}", scale(x_is_log));
    draw_x(svg, &x, top, bottom, Unit::Nanoseconds, &title);
    svg.text(
        (RIGHT, top - 16.0),
        Anchor::End,
        "small",
        &format!("deliveries/s{}", scale(y_is_log)),
    );
    for (course, style, name) in courses {
        let points: Vec<(f64, f64)> = steps(&course)
            .into_iter()
            .map(|(at_ns, rate)| (x.place(at_ns), y.place(rate)))
            .collect();
        svg.curve(&points, style, name);
    }
}

fn draw_x(svg: &mut Svg, x: &Axis, top: f64, bottom: f64, unit: Unit, title: &str) {
    for value in x.ticks() {
        let at = x.place(value);
        svg.line((at, top), (at, bottom), "grid");
        svg.text((at, bottom + 18.0), Anchor::Middle, "", &tick(unit, value));
    }
    svg.line((LEFT, bottom), (RIGHT, bottom), "axis");
    svg.text(((LEFT + RIGHT) / 2.0, bottom + 38.0), Anchor::Middle, "small", title);
}

/// How many nines a share has: 0.9 has one, 0.99 two.
fn nines(share: f64) -> f64 {
    -(1.0 - share).max(10f64.powf(-NINES_MAX)).log10()
}

fn thinned(course: &Course) -> Course {
    course.coarser(course.counts.len().div_ceil(SPANS_MAX))
}

/// The outline of the spans' rates, from nothing to nothing.
fn steps(course: &Course) -> Vec<(f64, f64)> {
    let mut points = Vec::with_capacity(course.counts.len() * 2 + 2);
    let at = |span: usize| course.from_ns as f64 + (span as u64 * course.width_ns) as f64;
    points.push((at(0), 0.0));
    for (span, count) in course.counts.iter().enumerate() {
        let rate = *count as f64 * 1e9 / course.width_ns as f64;
        points.extend([(at(span), rate), (at(span + 1), rate)]);
    }
    points.push((at(course.counts.len()), 0.0));
    points
}

fn peak(course: &Course) -> f64 {
    let most = course.counts.iter().max().copied().unwrap_or(0);
    most as f64 * 1e9 / course.width_ns as f64
}

fn end(course: &Course) -> f64 {
    course.from_ns as f64 + (course.counts.len() as u64 * course.width_ns) as f64
}

/// Both more than 0, also if there is nothing.
fn least_and_greatest(values: impl Iterator<Item = f64>) -> (f64, f64) {
    let positive = values.filter(|value| *value > 0.0);
    let range = positive.fold(None, |range: Option<(f64, f64)>, value| {
        Some(range.map_or((value, value), |(least, most)| (least.min(value), most.max(value))))
    });
    range.unwrap_or((1.0, 1.0))
}

/// The greatest of 1, 2 and 5 times a power of ten that is not above a value beyond 0.
fn round_below(value: f64) -> f64 {
    let power = 10f64.powf(value.log10().floor());
    [5.0, 2.0, 1.0].map(|step| step * power).into_iter().find(|at| *at <= value).unwrap_or(power)
}

/// The least of them that is not below it.
fn round_above(value: f64) -> f64 {
    let power = 10f64.powf(value.log10().floor());
    let steps = [1.0, 2.0, 5.0].map(|step| step * power);
    steps.into_iter().find(|at| *at >= value).unwrap_or(power * 10.0)
}

/// A round figure without the digits that are none.
fn tick(unit: Unit, value: f64) -> String {
    if value == 0.0 {
        return "0".to_owned();
    }
    let shown = show(unit, value).replace(" us", " µs");
    let (digits, unit) =
        shown.split_once(' ').map_or((&*shown, ""), |(digits, unit)| (digits, unit));
    let digits = match digits.contains('.') {
        true => digits.trim_end_matches('0').trim_end_matches('.'),
        false => digits,
    };
    format!("{digits} {unit}").trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_have_no_digits_that_say_nothing() {
        let shown = [(1e3, "1 µs"), (2.5e6, "2.5 ms"), (1e8, "100 ms"), (0.0, "0"), (5e1, "50 ns")];
        for (value, text) in shown {
            assert_eq!(tick(Unit::Nanoseconds, value), text);
        }
        assert_eq!(tick(Unit::Count, 20e6), "20 M");
    }

    #[test]
    fn axes_end_at_round_values() {
        let round = |value| (round_below(value), round_above(value));
        assert_eq!(round(3e6), (2e6, 5e6));
        assert_eq!(round(7e3), (5e3, 1e4));
        assert_eq!(round(1e5), (1e5, 1e5));
    }

    #[test]
    fn nines_are_counted_and_bounded() {
        assert_eq!([0.0, 0.9, 0.99].map(|share| nines(share).round()), [0.0, 1.0, 2.0]);
        assert!((nines(1.0) - NINES_MAX).abs() < 1e-9);
    }

    #[test]
    fn a_drawing_of_nothing_is_a_drawing() {
        let nothing = [Plotted { name: "a<b", latency: None, course: None }];
        let svg = draw("none", &[], &nothing);
        assert!(svg.contains("a&lt;b") && !svg.contains("NaN") && !svg.contains("inf"), "{svg}");
    }
}
