//! What the drawings are made of: axes and a few shapes, written as SVG text.
//!
//! The drawing brings its own background, and darker or lighter colours for viewers that say
//! which they want, so that it is legible wherever it is shown.

use std::fmt::{Display, Write as _};

const STYLE: &str = "\
text{font-family:system-ui,-apple-system,'Segoe UI','DejaVu Sans',sans-serif;font-size:12px;fill:#3d4450}\
.title{font-size:19px;font-weight:600;fill:#14181f}\
.head{font-size:13.5px;font-weight:600;fill:#14181f}\
.small{font-size:11px;fill:#6b7380}\
.card{fill:#ffffff;stroke:#dfe3e8}\
.grid{stroke:#e6e9ee;stroke-width:1}\
.axis{stroke:#9aa2ae;stroke-width:1}\
@media (prefers-color-scheme:dark){\
text{fill:#b9c1cc}.title,.head{fill:#f0f3f7}.small{fill:#8b94a1}\
.card{fill:#14181f;stroke:#2a303a}.grid{stroke:#262c35}.axis{stroke:#5a6370}}";

/// Curves' colours, legible on white and on near-black, and apart for colour-blind people.
const COLOURS: [&str; 8] =
    ["#e0742b", "#1a9e77", "#a86fd8", "#d9477f", "#1a9fc0", "#9a7b2a", "#6b9e1f", "#c25450"];
const FANFARE: &str = "#3b7ded";
const FLOORS: [&str; 2] = ["#8a93a0", "#6f7885"];

/// A drawing that grows.
pub(crate) struct Svg {
    width: f64,
    height: f64,
    body: String,
}

/// Which part of a text is at its point.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Anchor {
    Start,
    Middle,
    End,
}

/// A range of values, and the range of the drawing that it is shown on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Axis {
    pub(crate) from: f64,
    pub(crate) to: f64,
    /// Where `from` and `to` are drawn.
    pub(crate) drawn: (f64, f64),
    /// Whether equal factors, rather than equal differences, are equally far apart. Then `from`
    /// is more than 0.
    pub(crate) is_log: bool,
}

impl Axis {
    /// Where a value is drawn; one beyond the axis at its end.
    pub(crate) fn place(&self, value: f64) -> f64 {
        let scale =
            |value: f64| if self.is_log { value.max(f64::MIN_POSITIVE).log10() } else { value };
        let (from, to) = (scale(self.from), scale(self.to));
        let share = ((scale(value) - from) / (to - from)).clamp(0.0, 1.0);
        self.drawn.0 + share * (self.drawn.1 - self.drawn.0)
    }

    /// The values to be marked: round ones, about five of them, or one for each power of ten.
    pub(crate) fn ticks(&self) -> Vec<f64> {
        if self.is_log {
            return self.log_ticks();
        }
        let rough = ((self.to - self.from) / 5.0).max(f64::MIN_POSITIVE);
        let power = 10f64.powf(rough.log10().floor());
        let steps = [1.0, 2.0, 5.0, 10.0].map(|step| step * power);
        let step = steps.into_iter().find(|step| *step >= rough).unwrap_or(rough);
        let (first, last) = ((self.from / step).ceil() as i64, (self.to / step).floor() as i64);
        (first..=last).map(|at| at as f64 * step).collect()
    }

    fn log_ticks(&self) -> Vec<f64> {
        let decades = (self.to / self.from).log10();
        let within = if decades < 2.0 { &[1.0, 2.0, 5.0][..] } else { &[1.0][..] };
        let powers = self.from.log10().floor() as i32..=self.to.log10().ceil() as i32;
        let all = powers.flat_map(|power| within.iter().map(move |at| at * 10f64.powi(power)));
        // A tick at the very end counts, whatever its last digit became.
        all.filter(|tick| *tick >= self.from * 0.999 && *tick <= self.to * 1.001).collect()
    }
}

impl Svg {
    /// An empty drawing with its background.
    pub(crate) fn new(width: f64, height: f64) -> Self {
        let mut svg = Self { width, height, body: String::new() };
        let (wide, high) = (width - 1.0, height - 1.0);
        svg.write(format_args!(
            "<rect class=\"card\" x=\"0.5\" y=\"0.5\" width=\"{wide}\" height=\"{high}\" rx=\"8\"/>"
        ));
        svg
    }

    /// Writes a text.
    pub(crate) fn text(&mut self, (x, y): (f64, f64), anchor: Anchor, class: &str, text: &str) {
        let anchor = match anchor {
            Anchor::Start => "start",
            Anchor::Middle => "middle",
            Anchor::End => "end",
        };
        let text = escaped(text);
        self.write(format_args!(
            "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\" class=\"{class}\">{text}</text>"
        ));
    }

    /// Draws a straight line of the style `class`.
    pub(crate) fn line(&mut self, (x1, y1): (f64, f64), (x2, y2): (f64, f64), class: &str) {
        self.write(format_args!(
            "<line x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\" class=\"{class}\"/>"
        ));
    }

    /// Draws a curve through points, in the style of a subject. `name` is shown when the pointer is
    /// over it.
    pub(crate) fn curve(&mut self, points: &[(f64, f64)], style: Style, name: &str) {
        let mut path = String::new();
        for (at, (x, y)) in points.iter().enumerate() {
            // Writing to a String cannot fail.
            let _ = write!(path, "{}{x:.1} {y:.1}", if at == 0 { "M" } else { "L" });
        }
        let Style { colour, dashes, width } = style;
        let name = escaped(name);
        self.write(format_args!(
            "<path d=\"{path}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"{width}\" \
             stroke-dasharray=\"{dashes}\" stroke-linejoin=\"round\"><title>{name}</title></path>"
        ));
    }

    /// Draws a filled dot.
    pub(crate) fn dot(&mut self, (x, y): (f64, f64), style: Style) {
        let colour = style.colour;
        self.write(format_args!("<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3\" fill=\"{colour}\"/>"));
    }

    /// The whole document; `title` is for a reader that cannot see it.
    pub(crate) fn finish(self, title: &str) -> String {
        let Self { width, height, body } = self;
        let title = escaped(title);
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" \
             width=\"{width}\" height=\"{height}\" role=\"img\">\n<title>{title}</title>\n\
             <style>{STYLE}</style>\n{body}</svg>\n"
        )
    }

    fn write(&mut self, element: std::fmt::Arguments<'_>) {
        // Writing to a String cannot fail.
        let _ = writeln!(self.body, "{element}");
    }
}

/// How a subject's curves are drawn.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Style {
    colour: &'static str,
    dashes: &'static str,
    width: f64,
}

/// The engine has a strong colour, the floors a pale one, and each of the others its own, in turn.
pub(crate) fn styles(subjects: &[&str]) -> Vec<Style> {
    let (mut floors, mut others) = (FLOORS.iter().cycle(), COLOURS.iter().cycle());
    let style = |subject: &&str| {
        if *subject == "fanfare" {
            return Style { colour: FANFARE, dashes: "none", width: 2.4 };
        }
        let is_floor = subject.starts_with("floor");
        let colours = if is_floor { &mut floors } else { &mut others };
        // They go round and round.
        let colour = colours.next().copied().unwrap_or(FANFARE);
        Style { colour, dashes: if is_floor { "5 3" } else { "none" }, width: 1.7 }
    };
    subjects.iter().map(style).collect()
}

fn escaped(text: impl Display) -> String {
    let mut escaped = String::new();
    for character in text.to_string().chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            // XML has no way to write these.
            control if control.is_control() => escaped.push(' '),
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_within_the_axis() {
        let axis = |from, to, is_log| Axis { from, to, drawn: (0.0, 100.0), is_log };
        assert_eq!(axis(0.0, 10.0, false).ticks(), [0.0, 2.0, 4.0, 6.0, 8.0, 10.0]);
        assert_eq!(axis(0.0, 0.7, false).ticks().len(), 4);
        assert_eq!(axis(1e3, 1e6, true).ticks(), [1e3, 1e4, 1e5, 1e6]);
        assert_eq!(axis(3.0, 60.0, true).ticks(), [5.0, 10.0, 20.0, 50.0]);
    }

    #[test]
    fn values_are_placed_by_their_scale_and_never_beyond_the_axis() {
        let axis = Axis { from: 1.0, to: 100.0, drawn: (200.0, 0.0), is_log: true };
        assert_eq!(
            [1.0, 10.0, 100.0, 1e9, 0.0].map(|v| axis.place(v)),
            [200.0, 100.0, 0.0, 0.0, 200.0]
        );
    }

    #[test]
    fn what_is_written_cannot_break_the_document() {
        assert_eq!(escaped("<a> & \"b\"\u{7}"), "&lt;a&gt; &amp; &quot;b&quot; ");
    }
}
